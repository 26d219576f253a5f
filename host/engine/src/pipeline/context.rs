//! The context in which a message is processed.

use std::fmt;
use std::sync::Arc;

use super::snapshot::PolicySnapshot;
use crate::quota::Day;
use waxseal_core::message::Message;

/// A message, the snapshot that processes it, and the day that it is charged to.
#[derive(Clone)]
pub(crate) struct MessageContext {
    pub(super) snapshot: Arc<PolicySnapshot>,
    pub(super) message: Arc<Message>,
    pub(super) day: Day,
}

impl fmt::Debug for MessageContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageContext")
            .field("queue_id", &self.message.envelope.queue_id)
            .field("day", &self.day)
            .finish_non_exhaustive()
    }
}

impl MessageContext {
    /// A message to be processed with `snapshot`.
    pub(crate) fn new(snapshot: &Arc<PolicySnapshot>, message: &Arc<Message>) -> Self {
        Self {
            day: Day::of(message.arrival, &snapshot.config().time_zone),
            snapshot: Arc::clone(snapshot),
            message: Arc::clone(message),
        }
    }
}
