//! Time and randomness of an instance, fixed from outside.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seed of an instance's random source.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed of those bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Does not print the bytes: who knows them can choose hash collisions.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// All that a guest can observe of time and randomness: the same environment
/// gives the same decision, bit for bit.
#[derive(Clone, Copy)]
pub(super) struct DeterministicEnv {
    pub(super) since_epoch: Duration,
    pub(super) seed: Seed,
}
