//! A message together with what it is processed with.

use std::sync::Arc;

use super::snapshot::PolicySnapshot;
use crate::message::Message;
use crate::quota::Day;

/// A message, the snapshot that it is processed with, and the day that it is
/// charged to.
#[derive(Clone)]
pub struct MessageContext {
    pub(super) snapshot: Arc<PolicySnapshot>,
    pub(super) message: Arc<Message>,
    pub(super) day: Day,
}

impl MessageContext {
    /// A message to be processed with `snapshot`.
    pub fn new(snapshot: &Arc<PolicySnapshot>, message: &Arc<Message>) -> Self {
        Self {
            day: Day::of(message.arrival, &snapshot.config().time_zone),
            snapshot: Arc::clone(snapshot),
            message: Arc::clone(message),
        }
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        &self.snapshot
    }

    /// The message.
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }
}
