//! The version in service and those before it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;

use super::statistics::Statistics;
use super::version::{Record, Version, Why};
use crate::message::Message;
use crate::pipeline::{Generation, Outcome};

/// Versions before the one in service that are kept whole. Each holds its
/// compiled code, some megabytes for a policy in Rust and some tens for one in
/// Python; nobody goes back further than this in a hurry.
pub const KEPT: usize = 2;

/// Versions that are told of, the one in service not counted.
pub const RECORDS: usize = 32;

/// There is nothing to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no version to go back to: none is kept from before the one in service. Put the \
     policy that you want in service with `waxseal policy swap FILE`"
)]
pub struct NoVersionBefore;

/// The version in service and those before it.
pub struct Versions {
    in_service: ArcSwap<Version>,
    past: Mutex<Past>,
    changed: watch::Sender<u64>,
}

/// What was in service before, oldest first.
#[derive(Default)]
struct Past {
    kept: Vec<Arc<Version>>,
    records: VecDeque<Left>,
}

/// A version that is not in service any more. Its record is taken when it is
/// asked for, since messages in flight still count.
struct Left {
    version: Weighty,
    until: Timestamp,
}

/// A version as long as it is kept, its record afterwards.
enum Weighty {
    Kept(Arc<Version>),
    Told(Box<Record>),
}

impl Versions {
    /// The first version goes in service.
    pub fn new(generation: Arc<Generation>, now: Timestamp) -> Self {
        let first = version(1, generation, Why::Start, now);
        Self {
            in_service: ArcSwap::from(first),
            past: Mutex::default(),
            changed: watch::Sender::new(1),
        }
    }

    /// The version in service.
    pub fn in_service(&self) -> Arc<Version> {
        self.in_service.load_full()
    }

    /// Puts a generation in service, in one step. Messages in flight finish on
    /// the version that they began with.
    pub fn put_in_service(
        &self,
        generation: Arc<Generation>,
        why: Why,
        now: Timestamp,
    ) -> Arc<Version> {
        let mut past = self.past();
        let old = self.in_service();
        past.kept.push(Arc::clone(&old));
        if past.kept.len() > KEPT {
            past.kept.remove(0);
        }
        self.succeed(&mut past, &old, generation, why, now)
    }

    /// Goes back to the version before the one in service, at once. The one
    /// that is left is not gone back to.
    ///
    /// # Errors
    ///
    /// When none is kept.
    pub fn roll_back(&self, now: Timestamp) -> Result<Arc<Version>, NoVersionBefore> {
        let mut past = self.past();
        let old = self.in_service();
        let before = past.kept.pop().ok_or(NoVersionBefore)?;
        let why = Why::Rollback {
            from: old.number,
            to: before.number,
        };
        let generation = Arc::clone(&before.generation);
        Ok(self.succeed(&mut past, &old, generation, why, now))
    }

    /// The version in service and those before it, newest first.
    pub fn history(&self) -> Vec<Record> {
        let past = self.past();
        let newest = self.in_service().record(None, true);
        let before = past.records.iter().rev().map(Left::record);
        let kept = |number| past.kept.iter().any(|kept| kept.number == number);
        let before = before.map(|record| Record {
            kept: kept(record.number),
            ..record
        });
        std::iter::once(newest).chain(before).collect()
    }

    /// The versions that a rollback can go to, the next one last.
    pub fn kept(&self) -> Vec<Arc<Version>> {
        self.past().kept.clone()
    }

    /// Gives the number of the version in service, and again whenever it
    /// changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Counts a message that a version has decided on, and goes back from that
    /// version if it was one too many.
    pub(super) fn decided(&self, version: &Arc<Version>, message: &Message, outcome: &Outcome) {
        let Some(errors) = version.statistics.count(message, outcome) else {
            return;
        };
        let most = version.generation.config().policy.roll_back_after;
        // Each of them is one more: it is reached once.
        if most != 0 && errors == most {
            self.failed_too_often(version, errors, message, outcome);
        }
    }

    fn failed_too_often(
        &self,
        failed: &Arc<Version>,
        errors: u64,
        message: &Message,
        outcome: &Outcome,
    ) {
        let queue_id = message.envelope.queue_id.as_str();
        let error = outcome
            .failure
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let from = failed.number;
        let mut past = self.past();
        if self.in_service().number != from {
            // Messages in flight of a version that has been left already.
            return;
        }
        let Some(before) = last_good(&mut past.kept) else {
            tracing::error!(
                queue_id,
                version = from,
                errors,
                "the policy in service failed on {errors} different messages in a row, and there \
                 is no version before it to go back to: {error}. Put a good one in service with \
                 `waxseal policy swap FILE`; what messages get meanwhile is policy.on-error"
            );
            return;
        };
        let why = Why::AutomaticRollback {
            from,
            to: before.number,
            errors,
            error: error.clone(),
        };
        let generation = Arc::clone(&before.generation);
        let now = self.succeed(&mut past, failed, generation, why, message.arrival);
        tracing::error!(
            queue_id,
            version = now.number,
            errors,
            "went back to the policy that was version {}: version {from} failed on {errors} \
             different messages in a row, the last time with: {error}. It stays out until its \
             files change; see `waxseal policy status`",
            before.number
        );
    }

    /// The one place where the pointer moves.
    fn succeed(
        &self,
        past: &mut Past,
        old: &Arc<Version>,
        generation: Arc<Generation>,
        why: Why,
        now: Timestamp,
    ) -> Arc<Version> {
        past.records.push_back(Left {
            version: Weighty::Kept(Arc::clone(old)),
            until: now,
        });
        past.lighten();
        let new = version(old.number + 1, generation, why, now);
        self.in_service.store(Arc::clone(&new));
        self.changed.send_replace(new.number);
        new
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    /// Lets go of what nobody can go back to.
    fn lighten(&mut self) {
        while self.records.len() > RECORDS {
            self.records.pop_front();
        }
        for left in &mut self.records {
            if let Weighty::Kept(version) = &left.version
                && !self.kept.iter().any(|kept| Arc::ptr_eq(kept, version))
            {
                left.version = Weighty::Told(Box::new(left.record()));
            }
        }
    }
}

impl Left {
    fn record(&self) -> Record {
        match &self.version {
            Weighty::Kept(version) => version.record(Some(self.until), true),
            Weighty::Told(record) => Record::clone(record),
        }
    }
}

fn version(number: u64, generation: Arc<Generation>, why: Why, now: Timestamp) -> Arc<Version> {
    Arc::new(Version {
        number,
        generation,
        since: now,
        why,
        statistics: Statistics::default(),
    })
}

/// Takes the newest version that has decided on messages; where none has, the
/// newest. Those after it have not shown that they are any good.
fn last_good(kept: &mut Vec<Arc<Version>>) -> Option<Arc<Version>> {
    let proven = kept.iter().rposition(|version| {
        let numbers = version.numbers();
        numbers.messages > numbers.failed()
    });
    kept.truncate(proven.map_or(kept.len(), |at| at + 1));
    kept.pop()
}
