//! One message, from its MAIL command on.

use std::sync::Arc;
use std::time::Duration;

use super::received::Received;
use super::token::{Direction, Outgoing, Passing, Returning};
use super::way::{self, Way};
use crate::config::Mode;
use crate::pipeline::PolicySnapshot;
use crate::rollout::ActiveVersion;
use waxseal_core::decision::Reply;
use waxseal_core::message::{self, Client, Message};

/// A message that has begun: its policy version and its listener.
#[derive(Clone, Debug)]
pub struct Transaction {
    version: Arc<ActiveVersion>,
    listener: Arc<str>,
    mode: Mode,
}

impl Transaction {
    /// A message that begins with this version. [`Intake::begin`](super::Intake::begin)
    /// begins one with the active version.
    pub fn new(version: Arc<ActiveVersion>, listener: &Arc<str>) -> Self {
        let listeners = &version.snapshot().config().listeners;
        let known = listeners.iter().find(|known| *known.name == **listener);
        Self {
            // A listener that a reload removed from the configuration, or that
            // the front has and the configuration has not: what comes through it
            // is mixed mail, which signs nothing for strangers.
            mode: known.map_or(Mode::Mixed, |known| known.mode),
            listener: Arc::clone(listener),
            version,
        }
    }

    /// Classifies the message. `submitted_locally` is mail of a command on the
    /// MTA's own host (`sendmail`), which has no client.
    pub fn classify(&self, client: &Client, submitted_locally: bool) -> Direction {
        let config = self.snapshot().config();
        let transaction = self.clone();
        match way::way(config, self.mode, client, submitted_locally) {
            Way::Outgoing => Direction::Outgoing(Outgoing { transaction }),
            Way::Returning => Direction::Returning(Returning { transaction }),
            Way::Passing(reason) => Direction::Passing(Passing { reason }),
        }
    }

    /// Limits of the message, and how long it may be processed.
    pub fn limits(&self) -> (message::Limits, Duration) {
        let limits = &self.snapshot().config().limits;
        (limits.message, limits.processing_time)
    }

    /// The snapshot that the message is processed with.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        self.version.snapshot()
    }

    pub(super) fn version(&self) -> &Arc<ActiveVersion> {
        &self.version
    }

    pub(super) fn message(&self, received: Received) -> Result<Message, Reply> {
        received.into_message(self.snapshot().config(), &self.listener)
    }
}
