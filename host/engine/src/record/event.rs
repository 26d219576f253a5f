//! A message that was decided on, for those who look at it later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pipeline::{InputDigests, PolicyId, PolicyResult};
use waxseal_core::message::Message;
use waxseal_runtime::FactTrace;

/// A message, and all that its decision was taken on.
#[derive(Debug)]
pub struct OwnedDecisionEvent {
    /// The message.
    pub message: Arc<Message>,
    /// What the policy asked, and was told.
    pub facts: FactTrace,
    /// Who decided.
    pub policy: PolicyId,
    /// What that was made from.
    pub inputs: InputDigests,
    /// What it said.
    pub ruling: PolicyResult,
}

/// Bytes of messages that wait for somebody who looks on. They are held when
/// their connections have let go of them, so there has to be an end to it.
#[derive(Debug)]
pub struct ByteBudget {
    taken: AtomicUsize,
    most: usize,
}

impl ByteBudget {
    /// A budget of that many bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            most,
        })
    }

    /// Takes room for a message, until what is given back is dropped; none
    /// where there is not enough.
    pub fn take(self: &Arc<Self>, seen: &Arc<OwnedDecisionEvent>) -> Option<QueuedEvent> {
        let bytes = seen.message.content.bytes().len();
        let fits = |taken: usize| taken.checked_add(bytes).filter(|&all| all <= self.most);
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(QueuedEvent {
            seen: Arc::clone(seen),
            bytes,
            room: Arc::clone(self),
        })
    }
}

/// A message that waits.
#[derive(Debug)]
pub struct QueuedEvent {
    /// The message.
    pub seen: Arc<OwnedDecisionEvent>,
    bytes: usize,
    room: Arc<ByteBudget>,
}

impl Drop for QueuedEvent {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
