//! Bindings that `wasmtime` generates from the WIT package.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

wasmtime::component::bindgen!({
    // The current version. When the next version is begun, this becomes the path of
    // the frozen text.
    path: "wit",
    world: "waxseal:policy/policy",
    // Every import may trap: that stops a policy that exceeds a limit.
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "waxseal:policy/mail.message": super::handles::MessageHandle,
        "waxseal:policy/facts.facts": super::handles::FactsHandle,
    },
});
