//! A shadow run: a candidate that decides on live mail, without effect.
//!
//! It gets the input of the active version: the same message, the same facts, the same seed. Its
//! result is compared, counted, and discarded. It runs in a thread of its own, at the lowest
//! priority, in a sandbox of its own, on messages that have been decided already: mail never waits
//! for it. Messages that it has no time for are skipped and counted.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::observe::{DecisionEvent, Observer};
use super::statistics::{LastError, LatencySummary};
use crate::comparison::diff::{DiffAggregator, DiffGroup};
use crate::comparison::{ByteBudget, OwnedDecisionEvent, QueuedEvent, RecordedResult};
use crate::config::Share;
use crate::pipeline::{InputDigests, MessageContext, Pipeline, PolicyId, PolicySnapshot, repeat};
use crate::quota::Ledger;
use waxseal_runtime::ReplayedFacts;

/// Maximum number of queued messages.
const QUEUE: usize = 256;

/// Maximum bytes of queued messages.
const QUEUE_BYTES: usize = 64 << 20;

/// Maximum number of examples with both decisions.
const EXAMPLES: usize = 20;

/// Maximum bytes of a decision in examples and in the log.
const MAX_JSON: usize = 4096;

/// Priority of the thread (`nice`): lower than everything that mail waits for.
const NICE: i32 = 19;

/// The comparison of a candidate's decisions with those of the active version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The candidate.
    pub candidate: PolicyId,
    /// Digests of its inputs.
    pub inputs: InputDigests,
    /// The version that decided the last compared message.
    pub active: Option<PolicyId>,
    /// Start of the shadow run.
    pub since: Timestamp,
    /// The share of messages that it decides, such as `10%`.
    pub share: String,
    /// Messages that both decided on.
    pub compared: u64,
    /// Messages with the same decision.
    pub same: u64,
    /// Messages with different decisions.
    pub different: u64,
    /// Messages with different effects.
    pub behavioral: u64,
    /// Messages that the candidate had no time for.
    pub skipped: u64,
    /// Messages for which it queried facts that the active version did not query: those were looked up
    /// slightly later.
    pub additional_queries: u64,
    /// Differences by kind.
    pub differences: Vec<DiffGroup>,
    /// Differences of further kinds, beyond the limit.
    pub overflowed: u64,
    /// The last messages with different decisions, newest first.
    pub examples: Vec<DiffExample>,
    /// Errors of the candidate, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The last error of the candidate.
    pub last_error: Option<LastError>,
    /// Errors of the active version, by kind.
    pub active_errors: BTreeMap<String, u64>,
    /// Decision time of the candidate, at its low priority.
    pub time: LatencySummary,
    /// Decision time of the active version for the same messages.
    pub active_time: LatencySummary,
    /// Mean instructions of the candidate.
    pub instructions: u64,
    /// Mean instructions of the active version.
    pub active_instructions: u64,
}

impl Comparison {
    /// Messages that the candidate failed on.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Messages that the active version failed on.
    pub fn active_failed(&self) -> u64 {
        self.active_errors.values().sum()
    }
}

/// A message with different decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiffExample {
    /// Its queue id.
    pub queue_id: String,
    /// When it arrived.
    pub arrival: Timestamp,
    /// The decision of the active version.
    pub active: String,
    /// The decision of the candidate.
    pub candidate: String,
    /// The differences.
    pub differences: Vec<String>,
}

/// A running shadow run.
pub struct ShadowRun {
    candidate: Arc<PolicySnapshot>,
    share: Share,
    since: Timestamp,
    queue: SyncSender<QueuedEvent>,
    room: Arc<ByteBudget>,
    skipped: AtomicU64,
    stopped: Arc<AtomicBool>,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    diff: DiffAggregator,
    active: Option<PolicyId>,
    compared: u64,
    same: u64,
    behavioral: u64,
    additional_queries: u64,
    examples: VecDeque<DiffExample>,
    errors: BTreeMap<String, u64>,
    active_errors: BTreeMap<String, u64>,
    last_error: Option<LastError>,
    time: Histogram,
    active_time: Histogram,
    instructions: u128,
    active_instructions: u128,
}

impl ShadowRun {
    /// Starts; the candidate decides on the messages that it observes from now on
    /// ([`PolicyService::observe`](super::PolicyService::observe)). Its policy should come from a
    /// sandbox of its own, so that it does not use instances that mail needs. Additional facts are
    /// looked up with `ledger` and its own snapshot.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(
        candidate: Arc<PolicySnapshot>,
        share: Share,
        ledger: &Arc<dyn Ledger>,
        now: Timestamp,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let stopped = Arc::new(AtomicBool::new(false));
        let found = Arc::new(Mutex::new(Found::default()));
        let worker = Worker {
            candidate: Arc::clone(&candidate),
            pipeline: Pipeline::new(Arc::clone(ledger)),
            stopped: Arc::clone(&stopped),
            found: Arc::clone(&found),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        thread::Builder::new()
            .name("waxseal-shadow".into())
            .spawn(move || runtime.block_on(worker.run(&waiting)))?;
        Ok(Self {
            candidate,
            share,
            since: now,
            queue,
            room: ByteBudget::new(QUEUE_BYTES),
            skipped: AtomicU64::new(0),
            stopped,
            found,
        })
    }

    /// The candidate.
    pub fn candidate(&self) -> &Arc<PolicySnapshot> {
        &self.candidate
    }

    /// The comparison so far.
    pub fn comparison(&self) -> Comparison {
        let found = lock(&self.found);
        let mean = |sum: u128| {
            let mean = sum.checked_div(u128::from(found.compared)).unwrap_or(0);
            u64::try_from(mean).unwrap_or(u64::MAX)
        };
        Comparison {
            candidate: self.candidate.policy_id(),
            inputs: self.candidate.inputs().clone(),
            active: found.active.clone(),
            since: self.since,
            share: self.share.to_string(),
            compared: found.compared,
            same: found.same,
            different: found.compared - found.same,
            behavioral: found.behavioral,
            skipped: self.skipped.load(Ordering::Relaxed),
            additional_queries: found.additional_queries,
            differences: found.diff.kinds(),
            overflowed: found.diff.overflowed(),
            examples: found.examples.iter().cloned().collect(),
            errors: found.errors.clone(),
            last_error: found.last_error.clone(),
            active_errors: found.active_errors.clone(),
            time: found.time.times(),
            active_time: found.active_time.times(),
            instructions: mean(found.instructions),
            active_instructions: mean(found.active_instructions),
        }
    }
}

impl Drop for ShadowRun {
    /// Stops: queued messages are not decided.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Observer for ShadowRun {
    fn decided(&self, event: &DecisionEvent<'_>) {
        let result = event.outcome.result.as_ref();
        if !result.is_some_and(|result| self.share.takes(result.seed.as_bytes())) {
            return;
        }
        let taken = event.capture().is_some_and(|event| {
            let waiting = self.room.take(&Arc::new(event));
            waiting.is_some_and(|waiting| self.queue.try_send(waiting).is_ok())
        });
        if !taken {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// State of the thread.
struct Worker {
    candidate: Arc<PolicySnapshot>,
    pipeline: Pipeline,
    stopped: Arc<AtomicBool>,
    found: Arc<Mutex<Found>>,
}

impl Worker {
    /// Nothing else runs in this runtime, so waiting for messages may block it.
    async fn run(self, waiting: &Receiver<QueuedEvent>) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::warn!("cannot lower the priority of the shadow candidate's thread: {error}");
        }
        while let Ok(next) = waiting.recv() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            self.decide(&next.event).await;
        }
    }

    async fn decide(&self, event: &OwnedDecisionEvent) {
        let message = &event.message;
        let context = MessageContext::new(&self.candidate, message);
        let live = self.pipeline.facts(&context);
        let facts = Arc::new(ReplayedFacts::new(event.facts.clone(), live));
        let given = Arc::clone(&facts) as Arc<_>;
        let result = repeat(&self.candidate, message, given, event.result.seed).await;
        let mut found = lock(&self.found);
        let additional_queries = !facts.unanswered().is_empty();
        found.additional_queries += u64::from(additional_queries);
        found.active = Some(event.policy.clone());
        found.time.add(result.cost.time);
        found.active_time.add(event.result.cost.time);
        found.instructions += u128::from(result.cost.instructions);
        found.active_instructions += u128::from(event.result.cost.instructions);
        if let Err(error) = &event.result.decision {
            *found
                .active_errors
                .entry(error.kind().to_owned())
                .or_default() += 1;
        }
        if let Err(error) = &result.decision {
            let queue_id = message.envelope.queue_id.clone();
            tracing::warn!(
                queue_id,
                "the shadow candidate failed on a message: {error}"
            );
            *found.errors.entry(error.kind().to_owned()).or_default() += 1;
            found.last_error = Some(LastError {
                queue_id,
                at: message.arrival,
                kind: error.kind().to_owned(),
                text: error.to_string(),
            });
        }
        found.compare(
            event,
            &RecordedResult::of(&event.result.decision),
            &RecordedResult::of(&result.decision),
        );
    }
}

impl Found {
    fn compare(
        &mut self,
        event: &OwnedDecisionEvent,
        active: &RecordedResult,
        candidate: &RecordedResult,
    ) {
        let differences = active.differences(candidate);
        self.compared += 1;
        if differences.is_empty() {
            self.same += 1;
            return;
        }
        let effect = differences
            .iter()
            .any(|difference| difference.field.has_effect());
        self.behavioral += u64::from(effect);
        let queue_id = &event.message.envelope.queue_id;
        let arrival = event.message.arrival;
        self.diff.add(queue_id, arrival, &differences);
        let example = DiffExample {
            queue_id: queue_id.clone(),
            arrival,
            active: written(active),
            candidate: written(candidate),
            differences: differences.iter().map(ToString::to_string).collect(),
        };
        tracing::info!(
            queue_id,
            active = example.active,
            candidate = example.candidate,
            "the shadow candidate decides differently: {}",
            cut(example.differences.join("; "))
        );
        self.examples.push_front(example);
        self.examples.truncate(EXAMPLES);
    }
}

/// A decision as JSON, truncated.
fn written(ruled: &RecordedResult) -> String {
    match serde_json::to_string(ruled) {
        Ok(text) => cut(text),
        Err(error) => error.to_string(),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_JSON {
        text.truncate(text.floor_char_boundary(MAX_JSON));
        text.push('…');
    }
    text
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ShadowRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowRun")
            .field("candidate", &self.candidate.policy_id())
            .finish_non_exhaustive()
    }
}
