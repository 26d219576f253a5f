//! The service that processes messages with the active version.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::pipeline::{self, MessageContext, Outcome, Pipeline};
use crate::quota::Ledger;
use waxseal_core::message::Message;
use waxseal_runtime::{Facts, RecordingFacts};
use waxseal_system::pool::{JobLimits, Pool};

use super::observe::{DecisionEvent, Observer, Observers, Subscription};
use super::recheck::Rechecks;
use super::version::ActiveVersion;
use super::version_history::VersionHistory;

/// Processes messages with the version that was active when they began, and counts the outcomes.
pub struct PolicyService {
    inner: Arc<Inner>,
    pool: Arc<Pool>,
}

struct Inner {
    pipeline: Pipeline,
    versions: Arc<VersionHistory>,
    observers: Arc<Observers>,
    rechecks: Arc<Rechecks>,
}

impl PolicyService {
    /// A service of these versions.
    pub fn new(ledger: Arc<dyn Ledger>, versions: Arc<VersionHistory>) -> Self {
        Self {
            inner: Arc::new(Inner {
                pipeline: Pipeline::new(ledger),
                versions,
                observers: Arc::default(),
                rechecks: Rechecks::new(),
            }),
            pool: Pool::new(),
        }
    }

    /// The version for a message that begins now. To be called once for each message, at its MAIL
    /// command.
    pub fn begin(&self) -> Arc<ActiveVersion> {
        self.inner.versions.active()
    }

    /// Decides on an outgoing message and applies the decision; see [`Pipeline::process`]. Counts the
    /// outcome for the version. If the policy failed, the previous version decides the message again
    /// after this returns; if it decides too many of them, the host rolls back to it
    /// (`policy.roll-back-after`, `policy.roll-back-share`).
    ///
    /// The work is done by the threads of the [pool](Self::pool), and has
    /// `limits.processing-time`, unless this is called within a job that has a
    /// deadline of its own. Takes a tokio runtime with time enabled. When the
    /// future is dropped, the work is canceled.
    pub(crate) async fn process(
        &self,
        version: &Arc<ActiveVersion>,
        message: Arc<Message>,
    ) -> Outcome {
        let snapshot = version.snapshot();
        let order = JobLimits {
            size: message.content.bytes().len(),
            deadline: Instant::now() + snapshot.config().limits.processing_time,
        };
        let inner = Arc::clone(&self.inner);
        let work = {
            let (version, message) = (Arc::clone(version), Arc::clone(&message));
            async move { inner.process(&version, message).await }
        };
        match self.pool.run(order, work).await {
            Ok(outcome) => outcome,
            Err(late) => {
                let outcome = pipeline::late(snapshot, &message, late);
                // Not a failure of the policy: no recheck.
                let _ = self
                    .inner
                    .versions
                    .decided(version, &message, &outcome, false);
                outcome
            }
        }
    }

    /// Routes a copy that returned through the split listener, and counts it for
    /// the version. Returns the queue id of the first pass as well.
    pub(crate) fn resume(
        &self,
        version: &ActiveVersion,
        message: &Message,
    ) -> (Outcome, Option<String>) {
        let (outcome, first) = pipeline::resumed(version.snapshot(), message);
        version.statistics.count_returned(&outcome);
        (outcome, first)
    }

    /// The threads that process messages.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Waits until all queued messages are rechecked.
    pub async fn rechecked(&self) {
        self.inner.rechecks.done().await;
    }

    /// Adds an observer of decisions, such as a recording or a shadow run, until the subscription
    /// is dropped.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Subscription {
        self.inner.observers.add(observer)
    }

    /// The versions.
    pub fn versions(&self) -> &Arc<VersionHistory> {
        &self.inner.versions
    }

    /// The ledger that messages are charged to.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        self.inner.pipeline.ledger()
    }
}

impl Inner {
    async fn process(&self, version: &Arc<ActiveVersion>, message: Arc<Message>) -> Outcome {
        let context = MessageContext::new(version.snapshot(), &message);
        let facts = Arc::new(RecordingFacts::new(self.pipeline.facts(&context)));
        let given = Arc::clone(&facts) as Arc<dyn Facts>;
        let outcome = self.pipeline.process(&context, given).await;
        let observers = self.observers.now();
        if !observers.is_empty() {
            let event = DecisionEvent {
                version,
                message: &message,
                facts: &facts.trace(),
                outcome: &outcome,
            };
            observers
                .iter()
                .for_each(|observer| observer.decided(&event));
        }
        let sampled = self.rechecks.has_room();
        let recheck = self.versions.decided(version, &message, &outcome, sampled);
        if let Some(job) =
            recheck.and_then(|recheck| recheck.job(version, &message, &outcome, facts.trace()))
        {
            self.rechecks
                .offer(job, self.pipeline.ledger(), &self.versions);
        }
        outcome
    }
}

impl fmt::Debug for PolicyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyService")
            .field("versions", &self.inner.versions)
            .finish_non_exhaustive()
    }
}
