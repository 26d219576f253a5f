//! Bindings generated from `wit/policy.wit`, a copy of the repository's.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    world: "policy",
    path: "wit",
    additional_derives: [PartialEq, Eq, PartialOrd, Ord, Hash],
    pub_export_macro: true,
    export_macro_name: "__export_component",
    default_bindings_module: "waxseal_policy::bindings",
});
