//! The list of supported versions.

/// Supported versions of `waxseal:policy`, oldest first. The text of each is in
/// `wit/frozen`, and a component of each is a fixture of the tests.
pub const CONTRACT_VERSIONS: [&str; 1] = ["0.1.0"];

/// The package, without its version.
pub(crate) const PACKAGE: &str = "waxseal:policy/";

/// The worlds of all versions, for messages: `waxseal:policy@0.1.0`.
pub(crate) fn worlds() -> String {
    let package = PACKAGE.trim_end_matches('/');
    let worlds = CONTRACT_VERSIONS.map(|version| format!("{package}@{version}"));
    worlds.join(", ")
}
