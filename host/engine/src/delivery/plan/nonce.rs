//! The nonce of a plan.

use std::fmt;

use crate::crypto::encrypt::{self, EncryptError, Salt};

/// 16 random bytes that name a message: the plan is encrypted with them, and the
/// journal of deliveries is keyed by them. They are readable in the header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanNonce(pub Salt);

impl PlanNonce {
    /// A fresh nonce.
    ///
    /// # Errors
    ///
    /// When the system's random number generator fails.
    pub fn random() -> Result<Self, EncryptError> {
        encrypt::salt().map(Self)
    }
}

impl fmt::Display for PlanNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}
