//! One message, from its MAIL command on.

use std::sync::Arc;
use std::time::Duration;

use super::begun::Begun;
use super::token::{Direction, Outgoing, Passing, Returning};
use super::way::{self, Way};
use crate::pipeline::PolicySnapshot;
use crate::rollout::ActiveVersion;
use waxseal_core::message::{self, Client};

/// A message that has begun: its policy version and its listener.
#[derive(Clone, Debug)]
pub struct Transaction {
    begun: Begun,
}

impl Transaction {
    /// A message that begins with this version. [`Intake::begin`](super::Intake::begin)
    /// begins one with the active version.
    pub fn new(version: Arc<ActiveVersion>, listener: &Arc<str>) -> Self {
        Self {
            begun: Begun::new(version, listener),
        }
    }

    /// Classifies the message. `submitted_locally` is mail of a command on the
    /// MTA's own host (`sendmail`), which has no client.
    pub fn classify(&self, client: &Client, submitted_locally: bool) -> Direction {
        let config = self.snapshot().config();
        let begun = self.begun.clone();
        match way::way(config, begun.mode(), client, submitted_locally) {
            Way::Outgoing => Direction::Outgoing(Outgoing { begun }),
            Way::Returning => Direction::Returning(Returning { begun }),
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
        self.begun.snapshot()
    }
}
