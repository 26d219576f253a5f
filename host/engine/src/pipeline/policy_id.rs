//! Identity of a policy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Name, version and digest of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest.get(..12).unwrap_or(&self.digest);
        write!(f, "{} {}, sha256 {digest}…", self.name, self.version)
    }
}
