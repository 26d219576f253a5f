//! Messages that the version in service failed on, decided again by the version
//! before: a failure that both share is the message's fault.
//!
//! It happens after the message was answered, one message at a time, on the
//! threads that stand behind all mail. What waits is bounded in number and bytes,
//! in all and for each sender; what finds no room is not decided again and counts
//! for nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::failures::Failed;
use super::version::ActiveVersion;
use super::version_history::VersionHistory;
use crate::pipeline::{MessageContext, Pipeline, PolicySnapshot};
use crate::quota::Ledger;
use waxseal_core::message::Message;
use waxseal_runtime::{FactTrace, ReplayedFacts, Seed};

/// Messages that wait, at most.
const QUEUE: usize = 16;

/// Messages of one sender that wait, at most: one alone does not keep those of
/// others out.
const OF_A_SENDER: usize = QUEUE / 4;

/// Bytes of messages that wait or are decided on, at most; a single message may
/// be larger.
const QUEUE_BYTES: usize = 16 << 20;

/// A message that the version in service failed on.
pub(super) struct Suspect {
    /// It.
    pub(super) version: Arc<ActiveVersion>,
    pub(super) message: Arc<Message>,
    pub(super) failed: Failed,
    /// What happened.
    pub(super) error: String,
    /// Counters of a decision that could not be charged: with one of them, that
    /// of the version before would have failed as well.
    pub(super) counters: Vec<String>,
    /// What the version before decides with: the same host settings.
    pub(super) before: Arc<PolicySnapshot>,
    /// What the failed decision asked for. What only the version before asks for
    /// is looked up as it is now.
    pub(super) facts: FactTrace,
    pub(super) seed: Seed,
}

/// Decides on suspects again.
pub(super) struct Rechecks {
    waiting: Mutex<Queue<Suspect>>,
    /// Messages that wait or are decided on.
    pending: watch::Sender<usize>,
}

impl Rechecks {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            pending: watch::Sender::new(0),
        })
    }

    /// Whether there is room for one more message.
    pub(super) fn has_room(&self) -> bool {
        self.waiting().items.len() < QUEUE
    }

    /// Takes a message that the caller has answered; never waits.
    pub(super) fn offer(
        self: &Arc<Self>,
        suspect: Suspect,
        ledger: &Arc<dyn Ledger>,
        versions: &Arc<VersionHistory>,
    ) {
        let bytes = suspect.message.content.bytes().len();
        let sender = suspect.failed.sender;
        let mut waiting = self.waiting();
        if !waiting.take(suspect, bytes, sender) {
            return;
        }
        self.pending.send_modify(|pending| *pending += 1);
        if !waiting.running {
            waiting.running = true;
            let pipeline = Pipeline::new(Arc::clone(ledger));
            tokio::spawn(Arc::clone(self).run(pipeline, Arc::clone(versions)));
        }
    }

    /// Waits until nothing waits.
    pub(super) async fn done(&self) {
        let mut pending = self.pending.subscribe();
        // The sender is ours, and is there as long as we are.
        let _ = pending.wait_for(|pending| *pending == 0).await;
    }

    async fn run(self: Arc<Self>, pipeline: Pipeline, versions: Arc<VersionHistory>) {
        loop {
            let Some((next, bytes)) = self.waiting().next() else {
                return;
            };
            let deciding = tokio::spawn(decides(&pipeline, &next));
            // A panic, which the log has, is no decision.
            if deciding.await.unwrap_or(false) {
                versions.failed_alone(&next);
            }
            self.waiting().bytes -= bytes;
            self.pending.send_modify(|pending| *pending -= 1);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Queue<Suspect>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits, within bounds, with its bytes and its sender.
struct Queue<T> {
    items: VecDeque<(T, usize, u64)>,
    /// Of all that wait, and of the one that is decided on.
    bytes: usize,
    /// Somebody takes them out.
    running: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            running: false,
        }
    }
}

impl<T> Queue<T> {
    /// Takes an item if there is room for it.
    fn take(&mut self, item: T, bytes: usize, sender: u64) -> bool {
        let of_sender = self.items.iter().filter(|(.., other)| *other == sender);
        let fits = self.bytes == 0 || self.bytes + bytes <= QUEUE_BYTES;
        let taken = fits && self.items.len() < QUEUE && of_sender.count() < OF_A_SENDER;
        if taken {
            self.bytes += bytes;
            self.items.push_back((item, bytes, sender));
        }
        taken
    }

    /// The next item and its bytes, which count until the caller is done. Where
    /// there is none, nobody takes items out any more.
    fn next(&mut self) -> Option<(T, usize)> {
        let next = self.items.pop_front();
        self.running = next.is_some();
        next.map(|(item, bytes, _)| (item, bytes))
    }
}

/// Whether the version before decides a message.
fn decides(pipeline: &Pipeline, suspect: &Suspect) -> impl Future<Output = bool> + Send + use<> {
    let snapshot = Arc::clone(&suspect.before);
    let message = Arc::clone(&suspect.message);
    let live = pipeline.facts(&MessageContext::new(&snapshot, &message));
    let facts = Arc::new(ReplayedFacts::new(suspect.facts.clone(), live));
    let seed = suspect.seed;
    let counters = suspect.counters.clone();
    async move {
        let policy = snapshot.policy();
        let decided = policy.decide_low_priority(message, facts, seed).await;
        decided.decision.is_ok_and(|decision| {
            let mut charges = decision.charges.iter();
            !charges.any(|charge| counters.contains(&charge.counter))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_one_sender_does_not_keep_the_messages_of_others_from_being_decided_again() {
        let mut queue = Queue::default();
        let taken = (0..100).filter(|_| queue.take((), 1, 7));
        assert_eq!(taken.count(), OF_A_SENDER);
        let others = (0..100).filter(|&sender| queue.take((), 1, sender));
        assert_eq!(others.count(), QUEUE - OF_A_SENDER);
    }

    #[test]
    fn h4_messages_that_wait_are_bounded_in_bytes_but_one_of_any_size_is_taken() {
        let mut queue = Queue::default();
        assert!(queue.take("large", 2 * QUEUE_BYTES, 1));
        assert!(!queue.take("small", 1, 2));
        let (item, bytes) = queue.next().expect("an item");
        assert_eq!(item, "large");
        assert!(!queue.take("small", 1, 2), "it is decided on");
        queue.bytes -= bytes;
        assert!(queue.take("small", QUEUE_BYTES, 2));
        assert!(!queue.take("small", 1, 3));
    }
}
