//! The interface of a store of deliveries.

use std::fmt::Debug;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use super::StateError;

/// One delivery: a message, one of its recipients, and which of them if the same
/// recipient comes several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The nonce of the message's plan.
    pub message: [u8; 16],
    /// A digest of recipient and position: the store has no addresses.
    pub recipient: [u8; 16],
}

impl DeliveryKey {
    /// The key of a recipient at a position: 0, unless the same recipient comes several
    /// times.
    pub fn new(message: [u8; 16], recipient: &str, position: u32) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&message);
        context.update(&position.to_be_bytes());
        context.update(recipient.as_bytes());
        let mut key = Self {
            message,
            recipient: [0; 16],
        };
        key.recipient
            .copy_from_slice(&context.finish().as_ref()[..16]);
        key
    }
}

/// A process that delivers, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// A process is giving the message to a relay. If that process has ended, nobody
    /// knows whether the relay took it.
    InFlight {
        /// The process.
        epoch: Epoch,
        /// Name of the relay.
        relay: String,
        /// Since when.
        at: Timestamp,
    },
    /// A relay took the message.
    Taken {
        /// Name of the relay.
        relay: String,
        /// Its reply, which the MTA gets if it asks again.
        reply: String,
        /// When.
        at: Timestamp,
    },
}

impl JournalEntry {
    /// When it was made.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::InFlight { at, .. } | Self::Taken { at, .. } => *at,
        }
    }
}

/// A change of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalChange {
    /// Another entry. A delivery that was taken does not become one in flight.
    Set(DeliveryKey, JournalEntry),
    /// No entry: the MTA does not ask again.
    Release(DeliveryKey),
    /// The delivery is in flight no longer. An entry of one that was taken stays: by
    /// another process, meanwhile.
    GiveUp(DeliveryKey),
}

/// Deliveries of messages that the MTA may ask about again.
///
/// It protects against sending a message twice, and is never needed to deliver: no
/// error of it may stop mail. Every call may block on a disk or a network.
pub trait JournalStore: Debug + Send + Sync + 'static {
    /// The entries of deliveries, in their order. It does not wait for writers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn read(&self, keys: &[DeliveryKey]) -> Result<Vec<Option<JournalEntry>>, StateError>;

    /// Applies changes in their order: all of them or none. They are durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn apply(&self, changes: &[JournalChange]) -> Result<(), StateError>;

    /// Deletes at most `limit` entries that were made before a time, the oldest first.
    /// Returns their number.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn prune(&self, before: Timestamp, limit: usize) -> Result<usize, StateError>;

    /// The number of entries.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn count(&self) -> Result<u64, StateError>;
}
