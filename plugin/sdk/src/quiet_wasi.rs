//! Replacements of the C library's `write` and `getenv` without WASI imports
//! (feature `quiet-wasi`, on by default).
//!
//! Rust's standard library writes a panic with `write` and reads with `getenv`
//! whether to add a backtrace. The C library of the target implements both with
//! WASI: 21 functions of 14 interfaces, which the host then has to link in every
//! instance. That is two thirds of the time that an instance takes, for an
//! environment that is empty and output that belongs in the log.
//!
//! A linker takes a function from a library only if no object defines it, so that
//! these definitions replace the library's. Other uses of WASI (clocks, randomness)
//! are imported as before. A test of the host checks that a small policy imports
//! nothing of WASI.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::log::{self, Level};

/// Standard output and standard error. A policy has no other descriptor to write to.
const STREAMS: std::ops::RangeInclusive<c_int> = 1..=2;

/// "Bad file descriptor", as the C library of the target numbers it.
const EBADF: c_int = 8;

// SAFETY: name and signature are those of the C library of the target.
unsafe extern "C" {
    /// The place of `errno`.
    safe fn __errno_location() -> *mut c_int;
}

thread_local! {
    /// The beginning of a line, until its end is written.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the host's log what `println!` and `eprintln!` print. Fails with `EBADF`
/// for any descriptor but standard output and standard error.
///
/// # Safety
///
/// As in POSIX: `bytes` points to `length` bytes.
// SAFETY: the name and the signature are those of POSIX, and there is no other
// function of that name in the component.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize {
    if !STREAMS.contains(&descriptor) {
        // SAFETY: the C library returns a valid pointer, and a component has one
        // thread.
        unsafe { __errno_location().write(EBADF) };
        return -1;
    }
    if length > 0 {
        // SAFETY: required of the caller. All memory of wasm32 is initialized.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        take(bytes);
    }
    length.cast_signed()
}

/// Returns a null pointer: the environment is empty.
// SAFETY: the name and the signature are those of C, and there is no other
// function of that name in the component.
#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *const c_char {
    ptr::null()
}

/// Logs complete lines.
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

/// Logs an incomplete line. Called when an export returns or panics, since nothing
/// is written after that.
pub(crate) fn flush() {
    LINE.with(|line| {
        // It is borrowed if logging it is what panicked.
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
