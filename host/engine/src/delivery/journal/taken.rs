//! What the journal knows of a delivery.

use jiff::Timestamp;

use crate::state::JournalEntry;

/// A message that a relay took for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Name of the relay.
    pub relay: String,
    /// Its reply, which the MTA gets if it asks again.
    pub reply: String,
    /// When.
    pub at: Timestamp,
}

impl From<Taken> for JournalEntry {
    fn from(taken: Taken) -> Self {
        let Taken { relay, reply, at } = taken;
        Self::Taken { relay, reply, at }
    }
}

/// An earlier process ended while a relay was getting the message: the relay may have
/// taken it, and the recipient may get it twice (R6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Name of the relay.
    pub relay: String,
    /// Since when the relay was getting it.
    pub at: Timestamp,
}
