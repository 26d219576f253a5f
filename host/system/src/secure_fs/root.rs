//! A guard for tests that act as several users.

/// Whether the tests run as root, which acting as another user requires; prints
/// what is not tested without it.
pub(super) fn is_root(untested: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root, so not tested: {untested}");
    }
    root
}
