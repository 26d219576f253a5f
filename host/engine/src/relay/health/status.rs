//! The state of a relay as administrators see it (R8).

use jiff::Timestamp;
use serde::Serialize;

use super::FailureRecord;

/// Whether a relay is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
#[non_exhaustive]
pub enum Availability {
    /// It is used.
    On,
    /// One message at a time tests whether it works again.
    Probation,
    /// It rests after failures; without an end, until it is switched on.
    Resting {
        /// Since when.
        since: Timestamp,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// An administrator switched it off; without an end, until it is switched on.
    Off {
        /// Since when.
        since: Timestamp,
        /// Until when.
        until: Option<Timestamp>,
    },
}

/// The health of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthStatus {
    /// Whether it is used.
    #[serde(flatten)]
    pub availability: Availability,
    /// Failures in a row: since the last accepted message.
    pub failures_in_a_row: u32,
    /// The last failure, even if messages were accepted since.
    pub last_failure: Option<FailureRecord>,
}
