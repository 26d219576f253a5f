// Decisions and problems, made in a sentence. Copied into each policy: it has
// no dependencies.
//
// What stands here is data as `wit/policy.wit` describes it, with names in
// camel case. Whole numbers of 64 bits (`size`, `maximum`) are BigInt.

/** A decision: the message goes as it is, but for what `parts` says. */
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

/** The message is kept in the MTA's hold queue; `why` is for whoever finds it. */
export function hold(why, parts = {}) {
  return decision({ verdict: { tag: "hold", val: why }, ...parts });
}

/** The message is refused for good: `reject(550, "5.7.1", "not from here")`. */
export function reject(code, enhanced, text, parts = {}) {
  return decision({ verdict: { tag: "reject", val: { code, enhanced, text } }, ...parts });
}

/** The message is refused for now: `defer(450, "4.7.1", "not yet")`. */
export function defer(code, enhanced, text, parts = {}) {
  return decision({ verdict: { tag: "defer", val: { code, enhanced, text } }, ...parts });
}

/** A relay of a route. */
export function relay(name) {
  return { relay: name, returnPath: undefined };
}

/** A name and a value, for `labels`. */
export function label(name, value) {
  return { name, value };
}

/** One message on a counter, at most so many a day; past them it is deferred. */
export function charge(counter, maximum) {
  return { counter, unit: "message", maximum, full: "defer" };
}
