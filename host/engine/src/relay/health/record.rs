//! The record of one failure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Remedy;
use crate::relay::failure::{Failure, FailureClass};

/// A failure, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// When.
    pub at: Timestamp,
    /// Its class.
    pub class: FailureClass,
    /// Where and why.
    #[serde(flatten)]
    pub failure: Failure,
}

impl FailureRecord {
    pub(super) fn new(at: Timestamp, failure: Failure) -> Self {
        Self {
            at,
            class: failure.class(),
            failure,
        }
    }

    /// What to do about it (R10).
    pub fn remedy(&self) -> Remedy {
        Remedy::of(&self.failure)
    }
}
