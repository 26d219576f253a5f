//! A decision on a message, with everything that it depends on, for later processing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pipeline::{InputDigests, PolicyId, PolicyResult};
use waxseal_core::message::Message;
use waxseal_runtime::FactTrace;

/// A message, and everything that its decision depends on.
#[derive(Debug)]
pub struct OwnedDecisionEvent {
    /// The message.
    pub message: Arc<Message>,
    /// Queries of the policy and their results.
    pub facts: FactTrace,
    /// The policy that decided.
    pub policy: PolicyId,
    /// Digests of its inputs.
    pub inputs: InputDigests,
    /// Its result.
    pub result: PolicyResult,
}

/// Limit on the bytes of queued messages. They stay in memory after their connections have released them.
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

    /// Reserves bytes for a message until the result is dropped; `None` if the budget is exhausted.
    pub fn take(self: &Arc<Self>, event: &Arc<OwnedDecisionEvent>) -> Option<QueuedEvent> {
        let bytes = event.message.content.bytes().len();
        let fits = |taken: usize| taken.checked_add(bytes).filter(|&all| all <= self.most);
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(QueuedEvent {
            event: Arc::clone(event),
            bytes,
            room: Arc::clone(self),
        })
    }
}

/// A queued message.
#[derive(Debug)]
pub struct QueuedEvent {
    /// The message.
    pub event: Arc<OwnedDecisionEvent>,
    bytes: usize,
    room: Arc<ByteBudget>,
}

impl Drop for QueuedEvent {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
