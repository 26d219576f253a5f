//! Deciding again on what was recorded, with another version of the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::task::JoinSet;

use super::diff::{DiffAggregator, DiffGroup};
use super::entry::{Cost, RecordedResult};
use super::read::{Messages, ReadError, Reader, Recorded};
use crate::pipeline::{PolicyId, PolicySnapshot, repeat};
use waxseal_runtime::{ReplayedFacts, StaticFacts};

/// Most things of one sort (problems, questions) that a report names.
const NAMED: usize = 20;

/// Which entries are decided again.
#[derive(Debug, Default)]
pub struct Options {
    /// Those that arrived then or later.
    pub since: Option<Timestamp>,
    /// Those that arrived before.
    pub until: Option<Timestamp>,
    /// As many of them, from the first.
    pub limit: Option<u64>,
    /// Where messages are that the recording does not hold.
    pub messages: Messages,
    /// How many are decided on at one time.
    pub parallel: usize,
}

impl Options {
    /// Whether an entry is one of them, as far as its time goes.
    pub fn takes(&self, recorded: &Recorded) -> bool {
        let arrival = recorded.entry.arrival;
        self.since.is_none_or(|since| arrival >= since)
            && self.until.is_none_or(|until| arrival < until)
    }
}

/// A version that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decider {
    /// Its policy.
    #[serde(flatten)]
    pub policy: PolicyId,
    /// Digest of its settings.
    pub settings: Option<String>,
}

/// What the other version decides otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version that decided again.
    pub policy: PolicyId,
    /// Digest of its settings.
    pub settings: Option<String>,
    /// The versions that decided then.
    pub recorded: Vec<Decider>,
    /// Messages decided on again.
    pub compared: u64,
    /// Those decided alike.
    pub same: u64,
    /// Those decided otherwise.
    pub different: u64,
    /// Those of them that fare otherwise: not only reasons or labels differ.
    pub behavioral: u64,
    /// Messages that are not decided on again since they are not kept.
    pub missing: u64,
    /// Entries that cannot be read.
    pub unreadable: u64,
    /// The first of them.
    pub problems: Vec<String>,
    /// Messages whose decision asked for facts that were not recorded: it was
    /// told that there are none, and may not be what it would have been.
    pub unanswered: u64,
    /// What was asked for, and how often.
    pub questions: BTreeMap<String, u64>,
    /// When the first of them arrived.
    pub first: Option<Timestamp>,
    /// When the last did.
    pub last: Option<Timestamp>,
    /// What differs, by kind.
    pub differences: Vec<DiffGroup>,
    /// Differences of more kinds than are told apart.
    pub overflowed: u64,
    /// Median cost of a decision then.
    pub cost_then: Option<Cost>,
    /// Median cost of a decision now.
    pub cost_now: Option<Cost>,
}

/// Has the snapshot's policy decide on a recording, several messages at one
/// time. What it says does not depend on how they were taken in turn.
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
    // A worker that panics has met a mistake of ours: told, never hidden.
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
    questions: BTreeMap<String, u64>,
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
            Ok(recorded) => options.takes(recorded),
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
            self.found(|found| found.unreadable(wrong("its seed is none")));
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
        let ruling = repeat(&self.snapshot, &message, Arc::clone(&facts) as Arc<_>, seed).await;
        let now = RecordedResult::of(&ruling.decision);
        let questions = facts.unanswered();
        self.found(|found| found.add(recorded, &now, Cost::from(&ruling.cost), &questions));
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
                .map(|((_, settings), policy)| Decider { policy, settings })
                .collect(),
            compared: found.compared,
            same: found.same,
            different: found.compared - found.same,
            behavioral: found.behavioral,
            missing: found.missing,
            unreadable: found.unreadable,
            problems: found.problems.into_iter().collect(),
            unanswered: found.unanswered,
            questions: found.questions,
            first: found.arrivals.map(|(first, _)| first),
            last: found.arrivals.map(|(_, last)| last),
            differences: found.diff.kinds(),
            overflowed: found.diff.overflowed(),
            cost_then: median(found.then),
            cost_now: median(found.now),
        }
    }
}

impl Found {
    fn unreadable(&mut self, problem: String) {
        self.unreadable += 1;
        if self.problems.len() < NAMED {
            self.problems.insert(problem);
        }
    }

    fn add(
        &mut self,
        recorded: &Recorded,
        now: &RecordedResult,
        cost: Cost,
        questions: &[waxseal_runtime::FactQuery],
    ) {
        let entry = &recorded.entry;
        let differences = entry.ruling.differences(now);
        self.compared += 1;
        self.same += u64::from(differences.is_empty());
        let effect = differences
            .iter()
            .any(|difference| difference.field.has_effect());
        self.behavioral += u64::from(effect);
        self.diff.add(&entry.queue_id, entry.arrival, &differences);
        self.unanswered += u64::from(!questions.is_empty());
        for question in questions {
            let question = question.to_string();
            if self.questions.len() < NAMED || self.questions.contains_key(&question) {
                *self.questions.entry(question).or_default() += 1;
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

/// The median of each figure by itself.
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
