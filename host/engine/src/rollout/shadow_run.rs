//! A candidate that decides on live mail, without effect.
//!
//! It is given what the version in service was given: the same message, the
//! same facts, the same seed. What it says is compared, counted, and thrown
//! away. It runs in a thread of its own, at the lowest priority, in a sandbox of
//! its own, on messages that have been decided already: whatever it does, mail
//! waits for none of it. What it has no time for is skipped and counted.

use std::collections::{BTreeMap, VecDeque};
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
use crate::config::Share;
use crate::pipeline::{InputDigests, MessageContext, Pipeline, PolicyId, PolicySnapshot, repeat};
use crate::quota::Ledger;
use crate::record::diff::{DiffAggregator, DiffGroup};
use crate::record::{ByteBudget, OwnedDecisionEvent, QueuedEvent, RecordedResult};
use waxseal_runtime::ReplayedFacts;

/// Messages that wait for the candidate, at most.
const QUEUE: usize = 256;

/// Bytes of messages that wait for it, at most.
const QUEUE_BYTES: usize = 64 << 20;

/// Messages decided otherwise of which both decisions are kept.
const EXAMPLES: usize = 20;

/// Most bytes of a decision that are kept, or stand in the log.
const LONGEST: usize = 4096;

/// Priority of the thread, as `nice` has it: behind everything that mail waits
/// for.
const NICE: i32 = 19;

/// What a candidate has decided so far, beside what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The candidate.
    pub candidate: PolicyId,
    /// What it is made from.
    pub inputs: InputDigests,
    /// The version that decided the last message that was compared.
    pub in_service: Option<PolicyId>,
    /// When it began.
    pub since: Timestamp,
    /// The part of the messages that it is given, such as `10%`.
    pub share: String,
    /// Messages that both decided on.
    pub compared: u64,
    /// Those decided alike.
    pub same: u64,
    /// Those decided otherwise.
    pub different: u64,
    /// Those of them that would have fared otherwise.
    pub behavioral: u64,
    /// Messages that the candidate had no time for.
    pub skipped: u64,
    /// Messages for which it asked for facts that the version in service did
    /// not ask for: it got those of a moment later.
    pub asked_more: u64,
    /// What differs, by kind.
    pub differences: Vec<DiffGroup>,
    /// Differences of more kinds than are told apart.
    pub overflowed: u64,
    /// The last messages decided otherwise, newest first.
    pub examples: Vec<DiffExample>,
    /// Messages that the candidate failed on, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The last of them.
    pub last_error: Option<LastError>,
    /// Messages that the version in service failed on, by kind.
    pub errors_in_service: BTreeMap<String, u64>,
    /// How long the candidate took, at its low priority.
    pub time: LatencySummary,
    /// How long the version in service took for the same messages.
    pub time_in_service: LatencySummary,
    /// Mean of the candidate's instructions.
    pub instructions: u64,
    /// Mean of those of the version in service.
    pub instructions_in_service: u64,
}

impl Comparison {
    /// Messages that the candidate failed on.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Messages that the version in service failed on.
    pub fn failed_in_service(&self) -> u64 {
        self.errors_in_service.values().sum()
    }
}

/// A message decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiffExample {
    /// Its queue id.
    pub queue_id: String,
    /// When it arrived.
    pub arrival: Timestamp,
    /// What was decided.
    pub in_service: String,
    /// What the candidate would have decided.
    pub candidate: String,
    /// What differs.
    pub differences: Vec<String>,
}

/// A candidate at work.
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
    in_service: Option<PolicyId>,
    compared: u64,
    same: u64,
    behavioral: u64,
    asked_more: u64,
    examples: VecDeque<DiffExample>,
    errors: BTreeMap<String, u64>,
    errors_in_service: BTreeMap<String, u64>,
    last_error: Option<LastError>,
    time: Histogram,
    time_in_service: Histogram,
    instructions: u128,
    instructions_in_service: u128,
}

impl ShadowRun {
    /// Begins; the candidate decides on what it is shown from now on
    /// ([`PolicyService::observe`](super::PolicyService::observe)). Its policy should come
    /// from a sandbox of its own, or its decisions take turns from mail. What
    /// only it asks for is looked up with `ledger` and its own snapshot.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
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

    /// All that the candidate decides with.
    pub fn candidate(&self) -> &Arc<PolicySnapshot> {
        &self.candidate
    }

    /// What it has decided so far.
    pub fn comparison(&self) -> Comparison {
        let found = lock(&self.found);
        let mean = |sum: u128| {
            let mean = sum.checked_div(u128::from(found.compared)).unwrap_or(0);
            u64::try_from(mean).unwrap_or(u64::MAX)
        };
        Comparison {
            candidate: self.candidate.policy_id(),
            inputs: self.candidate.inputs().clone(),
            in_service: found.in_service.clone(),
            since: self.since,
            share: self.share.to_string(),
            compared: found.compared,
            same: found.same,
            different: found.compared - found.same,
            behavioral: found.behavioral,
            skipped: self.skipped.load(Ordering::Relaxed),
            asked_more: found.asked_more,
            differences: found.diff.kinds(),
            overflowed: found.diff.overflowed(),
            examples: found.examples.iter().cloned().collect(),
            errors: found.errors.clone(),
            last_error: found.last_error.clone(),
            errors_in_service: found.errors_in_service.clone(),
            time: found.time.times(),
            time_in_service: found.time_in_service.times(),
            instructions: mean(found.instructions),
            instructions_in_service: mean(found.instructions_in_service),
        }
    }
}

impl Drop for ShadowRun {
    /// What waits is not decided on any more.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Observer for ShadowRun {
    fn decided(&self, event: &DecisionEvent<'_>) {
        let ruling = event.outcome.result.as_ref();
        if !ruling.is_some_and(|ruling| self.share.takes(ruling.seed.as_bytes())) {
            return;
        }
        let taken = event.capture().is_some_and(|seen| {
            let waiting = self.room.take(&Arc::new(seen));
            waiting.is_some_and(|waiting| self.queue.try_send(waiting).is_ok())
        });
        if !taken {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The side of the thread.
struct Worker {
    candidate: Arc<PolicySnapshot>,
    pipeline: Pipeline,
    stopped: Arc<AtomicBool>,
    found: Arc<Mutex<Found>>,
}

impl Worker {
    /// Nothing else runs in this runtime: waiting for messages may block it.
    async fn run(self, waiting: &Receiver<QueuedEvent>) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::warn!("the candidate in shadow has the priority of mail: {error}");
        }
        while let Ok(next) = waiting.recv() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            self.decide(&next.seen).await;
        }
    }

    async fn decide(&self, seen: &OwnedDecisionEvent) {
        let message = &seen.message;
        let context = MessageContext::new(&self.candidate, message);
        let live = self.pipeline.facts(&context);
        let facts = Arc::new(ReplayedFacts::new(seen.facts.clone(), live));
        let given = Arc::clone(&facts) as Arc<_>;
        let ruling = repeat(&self.candidate, message, given, seen.ruling.seed).await;
        let mut found = lock(&self.found);
        let asked_more = !facts.unanswered().is_empty();
        found.asked_more += u64::from(asked_more);
        found.in_service = Some(seen.policy.clone());
        found.time.add(ruling.cost.time);
        found.time_in_service.add(seen.ruling.cost.time);
        found.instructions += u128::from(ruling.cost.instructions);
        found.instructions_in_service += u128::from(seen.ruling.cost.instructions);
        if let Err(error) = &seen.ruling.decision {
            *found
                .errors_in_service
                .entry(error.kind().to_owned())
                .or_default() += 1;
        }
        if let Err(error) = &ruling.decision {
            let queue_id = message.envelope.queue_id.clone();
            tracing::warn!(
                queue_id,
                "the candidate in shadow failed on a message: {error}"
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
            seen,
            &RecordedResult::of(&seen.ruling.decision),
            &RecordedResult::of(&ruling.decision),
        );
    }
}

impl Found {
    fn compare(
        &mut self,
        seen: &OwnedDecisionEvent,
        in_service: &RecordedResult,
        candidate: &RecordedResult,
    ) {
        let differences = in_service.differences(candidate);
        self.compared += 1;
        if differences.is_empty() {
            self.same += 1;
            return;
        }
        let effect = differences
            .iter()
            .any(|difference| difference.field.has_effect());
        self.behavioral += u64::from(effect);
        let queue_id = &seen.message.envelope.queue_id;
        let arrival = seen.message.arrival;
        self.diff.add(queue_id, arrival, &differences);
        let example = DiffExample {
            queue_id: queue_id.clone(),
            arrival,
            in_service: written(in_service),
            candidate: written(candidate),
            differences: differences.iter().map(ToString::to_string).collect(),
        };
        tracing::info!(
            queue_id,
            in_service = example.in_service,
            candidate = example.candidate,
            "the candidate in shadow decides otherwise: {}",
            cut(example.differences.join("; "))
        );
        self.examples.push_front(example);
        self.examples.truncate(EXAMPLES);
    }
}

/// A decision as JSON, not too long of it.
fn written(ruled: &RecordedResult) -> String {
    match serde_json::to_string(ruled) {
        Ok(text) => cut(text),
        Err(error) => error.to_string(),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
