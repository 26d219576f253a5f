//! The claim of a delivery.

use std::sync::Arc;

use jiff::Timestamp;

use super::taken::{Interrupted, Taken};
use super::writer::Shared;
use crate::state::{DeliveryKey, JournalChange};

/// What to do for a recipient.
#[derive(Debug)]
pub enum Claimed {
    /// Deliver the message.
    Deliver(Claim),
    /// Another attempt of this process is delivering it: answer 451.
    Busy,
    /// A relay took it: answer what it answered.
    Taken(Taken),
}

/// The right to deliver a message to a recipient. Dropping it ends the attempt
/// without a result.
#[derive(Debug)]
pub struct Claim {
    shared: Arc<Shared>,
    key: DeliveryKey,
    /// Set if an earlier attempt was interrupted. This is for the log.
    pub interrupted: Option<Interrupted>,
    /// Whether the store has an entry in flight, of this process or an earlier one.
    stored: bool,
    ended: bool,
}

impl Claim {
    pub(super) fn new(shared: &Arc<Shared>, key: DeliveryKey) -> Self {
        Self {
            shared: shared.clone(),
            key,
            interrupted: None,
            stored: false,
            ended: false,
        }
    }

    pub(super) fn set_interrupted(&mut self, interrupted: Interrupted) {
        self.interrupted = Some(interrupted);
        self.stored = true;
    }

    /// The delivery.
    pub fn key(&self) -> DeliveryKey {
        self.key
    }

    /// Notes that a relay is about to get the message. It costs nothing unless that
    /// takes more than a second.
    pub fn sending(&self, relay: &str, now: Timestamp) {
        self.shared.claims.sending(&self.key, relay, now);
    }

    /// Ends the claim: the relay took the message.
    pub(super) fn take(mut self, taken: Taken) -> DeliveryKey {
        self.ended = true;
        self.shared.claims.taken(self.key, taken);
        self.key
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let written = self.shared.claims.abandon(&self.key);
        if written || self.stored {
            let given_up = JournalChange::GiveUp(self.key);
            self.shared.change_later(vec![given_up]);
        }
    }
}
