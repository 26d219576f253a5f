//! Memory that loading a policy leaves behind.

use std::ffi::c_int;

/// Gives free memory back to the system. Compiling takes tens of megabytes on
/// several threads, in small pieces; the C library keeps all of it, in the
/// arena of each thread, for allocations that the daemon will never make.
#[cfg(target_env = "gnu")]
pub(super) fn give_back() {
    // SAFETY: the signature is that of `malloc.h`. The function takes any number,
    // may be called by any thread at any time, and changes nothing that a
    // program can see, so that calling it is safe.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> c_int;
    }
    malloc_trim(0);
}

/// Other C libraries are left to their ways.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back() {}
