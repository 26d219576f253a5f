//! Rechecks: messages on which the active version failed are decided again by the previous
//! version. A failure of both is caused by the message.
//!
//! A recheck runs after the message was answered, one at a time, on low-priority threads. The
//! queue is limited in number and bytes, in total and for each sender; messages that do not fit
//! are not rechecked and not counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::recheck_job::RecheckJob;
use super::version_history::VersionHistory;
use crate::pipeline::{MessageContext, Pipeline};
use crate::quota::Ledger;
use waxseal_runtime::ReplayedFacts;

/// Maximum number of messages in the queue.
const QUEUE: usize = 16;

/// Maximum number of messages of one sender in the queue: a single one does not exclude others.
const OF_A_SENDER: usize = QUEUE / 4;

/// Maximum bytes of messages that are queued or rechecked; a single message may be larger.
const QUEUE_BYTES: usize = 16 << 20;

/// Decides failed messages again.
pub(super) struct Rechecks {
    waiting: Mutex<Queue<RecheckJob>>,
    /// Messages that are queued or rechecked.
    pending: watch::Sender<usize>,
}

impl Rechecks {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            pending: watch::Sender::new(0),
        })
    }

    /// Whether there is room for another message.
    pub(super) fn has_room(&self) -> bool {
        self.waiting().items.len() < QUEUE
    }

    /// Queues a message that has been answered; never waits.
    pub(super) fn offer(
        self: &Arc<Self>,
        job: RecheckJob,
        ledger: &Arc<dyn Ledger>,
        versions: &Arc<VersionHistory>,
    ) {
        let bytes = job.message.content.bytes().len();
        let sender = job.failed.sender;
        let mut waiting = self.waiting();
        if !waiting.take(job, bytes, sender) {
            return;
        }
        self.pending.send_modify(|pending| *pending += 1);
        if !waiting.running {
            waiting.running = true;
            let pipeline = Pipeline::new(Arc::clone(ledger));
            tokio::spawn(Arc::clone(self).run(pipeline, Arc::clone(versions)));
        }
    }

    /// Waits until the queue is empty.
    pub(super) async fn done(&self) {
        let mut pending = self.pending.subscribe();
        // The sender exists as long as `self`.
        let _ = pending.wait_for(|pending| *pending == 0).await;
    }

    async fn run(self: Arc<Self>, pipeline: Pipeline, versions: Arc<VersionHistory>) {
        loop {
            let Some((next, bytes)) = self.waiting().next() else {
                return;
            };
            let deciding = tokio::spawn(decides(&pipeline, &next));
            // A panic is logged and counts as no decision.
            if deciding.await.unwrap_or(false) {
                versions.count_own_failure(&next);
            }
            self.waiting().bytes -= bytes;
            self.pending.send_modify(|pending| *pending -= 1);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Queue<RecheckJob>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue limited in number and bytes, also for each sender.
struct Queue<T> {
    items: VecDeque<(T, usize, u64)>,
    /// Bytes and number of items that are queued or processed.
    bytes: usize,
    /// Whether there is a consumer.
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
    /// Adds an item if there is room for it.
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

    /// The next item and its bytes, which count until it is dropped. `None` ends the consumer.
    fn next(&mut self) -> Option<(T, usize)> {
        let next = self.items.pop_front();
        self.running = next.is_some();
        next.map(|(item, bytes, _)| (item, bytes))
    }
}

/// Whether the previous version decides a message.
fn decides(pipeline: &Pipeline, job: &RecheckJob) -> impl Future<Output = bool> + Send + use<> {
    let snapshot = Arc::clone(&job.before);
    let message = Arc::clone(&job.message);
    let live = pipeline.facts(&MessageContext::new(&snapshot, &message));
    let facts = Arc::new(ReplayedFacts::new(job.facts.clone(), live));
    let seed = job.seed;
    let counters = job.counters.clone();
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
