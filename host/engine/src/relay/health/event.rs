//! Changes of a relay's health that somebody should know.

use jiff::Timestamp;

use super::FailureRecord;

/// A change of a relay's health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The relay rests after failures. This is the one warning of this rest.
    Rested(Warning),
    /// The relay was on probation and accepted a message.
    Recovered {
        /// When its rest began.
        rested_at: Timestamp,
    },
}

/// The content of the mail that warns the administrator (R7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// When the relay is tried again; `None` if it stays off until it is switched
    /// on.
    pub until: Option<Timestamp>,
    /// Failures in a row that led to the rest.
    pub failures: u32,
    /// The last of these failures, oldest first: all of them, unless there were more
    /// than ten. Each has its [remedy](FailureRecord::remedy).
    pub records: Vec<FailureRecord>,
}
