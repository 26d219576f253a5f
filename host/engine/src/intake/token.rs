//! Tokens: what a front may do with a message.

use std::sync::Arc;

use super::begun::Begun;
use super::received::Received;
use super::way::PassReason;
use crate::pipeline::PolicySnapshot;
use crate::rollout::ActiveVersion;
use waxseal_core::decision::Reply;
use waxseal_core::message::Message;

/// Direction of a message, as a token.
#[derive(Debug)]
pub enum Direction {
    /// Outgoing mail, for [`Intake::process`](super::Intake::process).
    Outgoing(Outgoing),
    /// A copy that was processed before and returns for its route, for
    /// [`Intake::resume`](super::Intake::resume).
    Returning(Returning),
    /// Mail that passes unchanged.
    Passing(Passing),
}

/// The right to have an outgoing message processed.
#[derive(Debug)]
pub struct Outgoing {
    pub(super) begun: Begun,
}

/// The right to have a returned copy routed.
#[derive(Debug)]
pub struct Returning {
    pub(super) begun: Begun,
}

/// A message that is not ours to process.
#[derive(Debug)]
pub struct Passing {
    pub(super) reason: PassReason,
}

impl Outgoing {
    /// The message of this token, from what the front received.
    ///
    /// # Errors
    ///
    /// The SMTP reply (553) for an invalid address of the envelope.
    pub fn message(&self, received: Received) -> Result<Message, Reply> {
        self.begun.message(received)
    }

    /// The snapshot that the message is processed with.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        self.begun.snapshot()
    }

    pub(super) fn version(&self) -> &Arc<ActiveVersion> {
        self.begun.version()
    }
}

impl Returning {
    /// The message of this token, from what the front received.
    ///
    /// # Errors
    ///
    /// The SMTP reply (553) for an invalid address of the envelope.
    pub fn message(&self, received: Received) -> Result<Message, Reply> {
        self.begun.message(received)
    }

    pub(super) fn version(&self) -> &Arc<ActiveVersion> {
        self.begun.version()
    }
}

impl Passing {
    /// Why the message passes.
    pub fn reason(&self) -> PassReason {
        self.reason
    }
}
