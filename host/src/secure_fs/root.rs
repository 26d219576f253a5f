//! Tests that act as several users.

/// Whether this is root, who alone can act as another user; says what is not
/// tested where it is not.
pub(super) fn is_root(untested: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root, so not tested: {untested}");
    }
    root
}
