//! What `wasmtime` makes of the WIT package. Private: the rest of the crate
//! knows the types of [`decision`](crate::decision) only.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

wasmtime::component::bindgen!({
    // The version that `wit` holds. It moves to its frozen text when the next one
    // is begun.
    path: "../wit",
    world: "waxseal:policy/policy",
    // Every import may trap: a policy that asks for too much is stopped there.
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "waxseal:policy/mail.message": super::host::MessageHandle,
        "waxseal:policy/facts.facts": super::host::FactsHandle,
    },
});
