//! Replay of recorded decisions with another version of the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::task::JoinSet;

use super::entry::Cost;
use super::read::{Messages, ReadError, Reader, Recorded};
use crate::comparison::RecordedResult;
use crate::comparison::diff::{DiffAggregator, DiffGroup};
use crate::pipeline::{PolicyId, PolicySnapshot, repeat};
use waxseal_runtime::{ReplayedFacts, StaticFacts};

/// Maximum number of problems or queries that a report lists.
const MAX_LISTED: usize = 20;

/// Selection of the entries to replay.
#[derive(Debug, Default)]
pub struct Options {
    /// Only entries that arrived then or later.
    pub since: Option<Timestamp>,
    /// Only entries that arrived before.
    pub until: Option<Timestamp>,
    /// Maximum number of entries.
    pub limit: Option<u64>,
    /// Messages that the recording does not contain.
    pub messages: Messages,
    /// Number of concurrent decisions.
    pub parallel: usize,
}

impl Options {
    /// Whether the time of an entry is selected.
    pub fn selects(&self, recorded: &Recorded) -> bool {
        let arrival = recorded.entry.arrival;
        self.since.is_none_or(|since| arrival >= since)
            && self.until.is_none_or(|until| arrival < until)
    }
}

/// A version that made recorded decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordedVersion {
    /// Its policy.
    #[serde(flatten)]
    pub policy: PolicyId,
    /// Digest of its settings.
    pub settings: Option<String>,
}

/// The result of a replay.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of the replay.
    pub policy: PolicyId,
    /// Digest of its settings.
    pub settings: Option<String>,
    /// The versions of the recorded decisions.
    pub recorded: Vec<RecordedVersion>,
    /// Replayed messages.
    pub compared: u64,
    /// Messages with the same decision.
    pub same: u64,
    /// Messages with different decisions.
    pub different: u64,
    /// Messages with different effects: more than reasons and labels differ.
    pub behavioral: u64,
    /// Messages that cannot be replayed because they are not stored.
    pub missing: u64,
    /// Entries that cannot be read.
    pub unreadable: u64,
    /// The first problems.
    pub problems: Vec<String>,
    /// Messages whose decision queried facts that were not recorded: these do not exist in the replay, so the decision may
    /// differ from a live one.
    pub unanswered: u64,
    /// These queries, and how often they were made.
    pub unanswered_queries: BTreeMap<String, u64>,
    /// Arrival of the first message.
    pub first: Option<Timestamp>,
    /// Arrival of the last message.
    pub last: Option<Timestamp>,
    /// Differences by kind.
    pub differences: Vec<DiffGroup>,
    /// Differences of further kinds, beyond the limit.
    pub overflowed: u64,
    /// Median cost of a recorded decision.
    pub recorded_cost: Option<Cost>,
    /// Median cost of a replayed decision.
    pub replayed_cost: Option<Cost>,
}

/// Replays a recording with the snapshot's policy, several messages at a time. The result does not depend on their
/// order.
pub async fn replay(snapshot: &Arc<PolicySnapshot>, reader: Reader, options: Options) -> Report {
    let work = Arc::new(Work {
        snapshot: Arc::clone(snapshot),
        source: Mutex::new(Source { reader, taken: 0 }),
        found: Mutex::default(),
        options,
    });
    let mut workers = JoinSet::new();
    for _ in 0..work.options.parallel.max(1) {
        let work = Arc::clone(&work);
        workers.spawn(async move { work.run().await });
    }
    // A panic of a worker is a defect of Waxseal: it is reported.
    workers.join_all().await;
    work.report()
}

struct Work {
    snapshot: Arc<PolicySnapshot>,
    source: Mutex<Source>,
    found: Mutex<Found>,
    options: Options,
}

struct Source {
    reader: Reader,
    taken: u64,
}

#[derive(Default)]
struct Found {
    diff: DiffAggregator,
    recorded: BTreeMap<(String, Option<String>), PolicyId>,
    compared: u64,
    same: u64,
    behavioral: u64,
    missing: u64,
    unreadable: u64,
    problems: BTreeSet<String>,
    unanswered: u64,
    unanswered_queries: BTreeMap<String, u64>,
    arrivals: Option<(Timestamp, Timestamp)>,
    then: Vec<Cost>,
    now: Vec<Cost>,
}

impl Work {
    async fn run(&self) {
        while let Some(next) = self.next() {
            match next {
                Ok(recorded) => self.again(&recorded).await,
                Err(error) => self.found(|found| found.unreadable(error.to_string())),
            }
        }
    }

    fn next(&self) -> Option<Result<Recorded, ReadError>> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if self
            .options
            .limit
            .is_some_and(|limit| source.taken >= limit)
        {
            return None;
        }
        let options = &self.options;
        let next = source.reader.find(|item| match item {
            Ok(recorded) => options.selects(recorded),
            Err(_) => true,
        })?;
        source.taken += u64::from(next.is_ok());
        Some(next)
    }

    fn found(&self, change: impl FnOnce(&mut Found)) {
        change(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn again(&self, recorded: &Recorded) {
        let entry = &recorded.entry;
        let Some(bytes) = self.options.messages.find(recorded) else {
            self.found(|found| found.missing += 1);
            return;
        };
        let wrong = |what: &str| format!("{}: {what}", entry.queue_id);
        let Some(seed) = entry.seed() else {
            self.found(|found| found.unreadable(wrong("invalid seed")));
            return;
        };
        let message = match entry.message(bytes) {
            Ok(message) => Arc::new(message),
            Err(error) => {
                self.found(|found| found.unreadable(wrong(&format!("its sender: {error}"))));
                return;
            }
        };
        let nothing = StaticFacts::at(entry.facts.now.clone());
        let facts = Arc::new(ReplayedFacts::new(entry.facts.clone(), nothing));
        let result = repeat(&self.snapshot, &message, Arc::clone(&facts) as Arc<_>, seed).await;
        let now = RecordedResult::of(&result.decision);
        let unanswered_queries = facts.unanswered();
        self.found(|found| {
            found.add(
                recorded,
                &now,
                Cost::from(&result.cost),
                &unanswered_queries,
            )
        });
    }

    fn report(&self) -> Report {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::mem::take(&mut *found);
        Report {
            policy: self.snapshot.policy_id(),
            settings: self.snapshot.inputs().settings.clone(),
            recorded: found
                .recorded
                .into_iter()
                .map(|((_, settings), policy)| RecordedVersion { policy, settings })
                .collect(),
            compared: found.compared,
            same: found.same,
            different: found.compared - found.same,
            behavioral: found.behavioral,
            missing: found.missing,
            unreadable: found.unreadable,
            problems: found.problems.into_iter().collect(),
            unanswered: found.unanswered,
            unanswered_queries: found.unanswered_queries,
            first: found.arrivals.map(|(first, _)| first),
            last: found.arrivals.map(|(_, last)| last),
            differences: found.diff.kinds(),
            overflowed: found.diff.overflowed(),
            recorded_cost: median(found.then),
            replayed_cost: median(found.now),
        }
    }
}

impl Found {
    fn unreadable(&mut self, problem: String) {
        self.unreadable += 1;
        if self.problems.len() < MAX_LISTED {
            self.problems.insert(problem);
        }
    }

    fn add(
        &mut self,
        recorded: &Recorded,
        now: &RecordedResult,
        cost: Cost,
        unanswered_queries: &[waxseal_runtime::FactQuery],
    ) {
        let entry = &recorded.entry;
        let differences = entry.result.differences(now);
        self.compared += 1;
        self.same += u64::from(differences.is_empty());
        let effect = differences
            .iter()
            .any(|difference| difference.field.has_effect());
        self.behavioral += u64::from(effect);
        self.diff.add(&entry.queue_id, entry.arrival, &differences);
        self.unanswered += u64::from(!unanswered_queries.is_empty());
        for question in unanswered_queries {
            let question = question.to_string();
            if self.unanswered_queries.len() < MAX_LISTED
                || self.unanswered_queries.contains_key(&question)
            {
                *self.unanswered_queries.entry(question).or_default() += 1;
            }
        }
        let policy = &entry.policy;
        self.recorded
            .entry((policy.digest.clone(), entry.inputs.settings.clone()))
            .or_insert_with(|| policy.clone());
        let (first, last) = self.arrivals.unwrap_or((entry.arrival, entry.arrival));
        self.arrivals = Some((first.min(entry.arrival), last.max(entry.arrival)));
        self.then.push(entry.cost);
        self.now.push(cost);
    }
}

/// The median of each value separately.
fn median(costs: Vec<Cost>) -> Option<Cost> {
    let of = |figure: fn(&Cost) -> u64| {
        let mut figures: Vec<u64> = costs.iter().map(figure).collect();
        let middle = figures.len() / 2;
        (!figures.is_empty()).then(|| *figures.select_nth_unstable(middle).1)
    };
    Some(Cost {
        microseconds: of(|cost| cost.microseconds)?,
        instructions: of(|cost| cost.instructions)?,
        memory: of(|cost| cost.memory)?,
    })
}
