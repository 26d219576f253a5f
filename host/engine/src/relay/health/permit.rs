//! Permits: the right to give one message to a relay.

use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use crate::relay::failure::Failure;

/// The right to give one message to a relay. Its result is passed to
/// [`RelayHealth::report`](super::RelayHealth::report), once.
#[must_use = "the result of an attempt has to be reported"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    /// The period of the relay's health in which it was issued. Results of earlier
    /// periods are ignored: when twenty messages fail together, three put the relay to
    /// rest, and the other seventeen say nothing about the time after it.
    pub(super) period: u64,
    /// The number of the probe, if the message is one.
    pub(super) probe: Option<u64>,
}

impl Permit {
    /// Whether the message tests a relay that rested.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// Why a relay is not used for a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// It is not configured.
    #[error("it is not configured")]
    Unknown,
    /// Another message tests it at this time.
    #[error("another message tests whether it works again")]
    Probing,
    /// It rests after failures; without an end, until it is switched on.
    #[error("it rests after failures {}", Until(*.until))]
    Resting {
        /// Until when.
        until: Option<Timestamp>,
    },
    /// It is switched off; without an end, until it is switched on.
    #[error("it is switched off {}", Until(*.until))]
    Off {
        /// Until when.
        until: Option<Timestamp>,
    },
}

/// The end of a rest in messages.
struct Until(Option<Timestamp>);

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(until) => write!(f, "until {until}"),
            None => f.write_str("until it is switched on"),
        }
    }
}

/// The result of an attempt, as far as it concerns the health of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The relay took the message, for at least one recipient.
    Accepted,
    /// The relay did not take the message, which is a failure.
    Failed(Failure),
    /// Neither: recipients were refused or deferred, the relay cannot carry this
    /// message, it is in doubt whether it was taken, or the attempt was ended from
    /// our side.
    Neutral,
}
