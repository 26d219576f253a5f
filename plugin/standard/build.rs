//! Less stack for the component: the linker's default of 1 MiB lies at the
//! begin of its memory, and the host looks through all memory for pages to
//! restore after each decision. Reading deeply nested settings, which the TOML
//! parser limits, takes less than a quarter of what is left.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=262144");
    }
}
