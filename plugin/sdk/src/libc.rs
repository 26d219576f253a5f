//! The two functions of the C library for which a Rust policy would import a
//! fifth of WASI.
//!
//! Rust's standard library writes a panic by `write` and asks `getenv` whether
//! to add a backtrace. The C library of the target answers both by WASI: 21
//! functions of 14 interfaces, which the host then has to connect in every
//! instance. That is two thirds of what making an instance costs, for what a
//! policy never gets to see: there is no environment, and lines belong into the
//! log.
//!
//! A linker takes a function out of a library only when nobody has defined it
//! yet, so defining the two here is enough. What a policy itself uses of WASI
//! (clocks, randomness) is imported as before.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::log::{self, Level};

/// The standard streams. Nothing else can be written to: a policy has no files.
const STREAMS: std::ops::RangeInclusive<c_int> = 1..=2;

thread_local! {
    /// What was written of a line that has not ended.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lines of `println!` and `eprintln!`, for the host's log.
///
/// # Safety
///
/// As POSIX has it: `bytes` points to `length` bytes.
// SAFETY: the name and the signature are those of POSIX, and there is no other
// function of that name in the component.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize {
    if !STREAMS.contains(&descriptor) {
        return -1;
    }
    if length > 0 {
        // SAFETY: the caller's promise above. Memory of wasm32 is initialised.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        take(bytes);
    }
    length.cast_signed()
}

/// Nothing: there is no environment.
// SAFETY: the name and the signature are those of C, and there is no other
// function of that name in the component.
#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *const c_char {
    ptr::null()
}

/// Sends on the lines that are whole.
fn take(bytes: &[u8]) {
    LINE.with_borrow_mut(|line| {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                send(line);
            }
        }
    });
}

/// Sends on what is left of a line: nothing is written after an export returned
/// or panicked.
pub(crate) fn flush() {
    LINE.with(|line| {
        // It is in use where sending it is what panicked.
        if let Ok(mut line) = line.try_borrow_mut() {
            send(&mut line);
        }
    });
}

fn send(line: &mut Vec<u8>) {
    if !line.is_empty() {
        log::write(Level::Info, String::from_utf8_lossy(line).trim_end());
        line.clear();
    }
}
