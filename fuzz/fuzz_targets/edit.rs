//! Messages being edited: `cargo +nightly fuzz run edit`.

#![no_main]

#[path = "../checks/edit.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
