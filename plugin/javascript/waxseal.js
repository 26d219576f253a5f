// Functions that build decisions. Copied into each policy; has no dependencies.
//
// The results are data as described in `wit/policy.wit`, with names in camel case.
// 64-bit integers (`size`, `maximum`) are BigInt.

/** A decision to accept the message unchanged, except for `parts`. */
export function decision(parts = {}) {
  return {
    verdict: { tag: "accept" },
    route: [],
    charges: [],
    returnPath: { tag: "keep" },
    author: undefined,
    sender: undefined,
    sign: [],
    disclaimers: [],
    headers: [],
    copies: [],
    labels: [],
    reasons: [],
    ...parts,
  };
}

/** Puts the message into the MTA's hold queue; `why` is the reason for the administrator. */
export function hold(why, parts = {}) {
  return decision({ verdict: { tag: "hold", val: why }, ...parts });
}

/** Rejects the message permanently: `reject(550, "5.7.1", "not from here")`. */
export function reject(code, enhanced, text, parts = {}) {
  return decision({ verdict: { tag: "reject", val: { code, enhanced, text } }, ...parts });
}

/** Defers the message (temporary error): `defer(450, "4.7.1", "not yet")`. */
export function defer(code, enhanced, text, parts = {}) {
  return decision({ verdict: { tag: "defer", val: { code, enhanced, text } }, ...parts });
}

/** A relay for `route`. */
export function relay(name) {
  return { relay: name, returnPath: undefined };
}

/** A name and a value, for `labels`. */
export function label(name, value) {
  return { name, value };
}

/** Counts one message on `counter`, at most `maximum` a day; further messages are deferred. */
export function charge(counter, maximum) {
  return { counter, unit: "message", maximum, full: "defer" };
}
