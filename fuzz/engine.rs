//! The fuzzing engine (libFuzzer) on one target, which the environment variable
//! `FUZZ_TARGET` names. One program for all targets: linking the sandbox twenty
//! times would take longer than compiling it.

#![no_main]

use std::sync::LazyLock;

use waxseal_fuzz::{Target, target};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let known: Vec<&str> = waxseal_fuzz::TARGETS
            .iter()
            .map(|target| target.name)
            .collect();
        eprintln!("FUZZ_TARGET={name:?}: expected one of {}", known.join(", "));
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.check)(data));
