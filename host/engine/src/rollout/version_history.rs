//! The version in service and those before it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

use super::failures::{Bounds, Exceeded, Senders};
use super::history::{Entry, History, RollbackError, Skipped, Target};
use super::recheck::Suspect;
use super::statistics::{Failing, Statistics, sender};
use super::version::{ActivationReason, ActiveVersion, Share, VersionSummary};
use crate::pipeline::{Outcome, PolicySnapshot};
use waxseal_core::message::Message;

/// Versions that are listed, the one in service not counted.
pub const RECORDS: usize = 32;

/// The version in service and those before it.
pub struct VersionHistory {
    in_service: ArcSwap<ActiveVersion>,
    past: Mutex<Past>,
    senders: Senders,
    changed: watch::Sender<u64>,
}

/// What was in service before, oldest first.
#[derive(Default)]
struct Past {
    history: History<Arc<ActiveVersion>>,
    records: VecDeque<Retired>,
}

/// A version that is not in service any more. Its record is taken when it is
/// asked for, since messages in flight still count.
struct Retired {
    version: RetiredVersion,
    until: Timestamp,
}

/// A version as long as it is kept, its record afterwards.
enum RetiredVersion {
    Loaded(Arc<ActiveVersion>),
    Summary(Box<VersionSummary>),
}

/// What a rollback did.
#[derive(Clone)]
pub struct RolledBack {
    /// What is in service now.
    pub version: Arc<ActiveVersion>,
    /// Later versions that it did not go to.
    pub skipped: Vec<Skipped>,
}

/// A message that the version in service failed on and the version before may
/// decide.
pub(super) struct Doubt {
    failing: Failing,
    pub(super) before: Arc<PolicySnapshot>,
}

impl VersionHistory {
    /// The first version goes in service.
    pub fn new(snapshot: Arc<PolicySnapshot>, now: Timestamp) -> Self {
        let first = ActiveVersion {
            number: 1,
            snapshot,
            since: now,
            why: ActivationReason::Start,
            statistics: Arc::default(),
            proven: false,
        };
        Self {
            in_service: ArcSwap::from(Arc::new(first)),
            past: Mutex::default(),
            senders: Senders::default(),
            changed: watch::Sender::new(1),
        }
    }

    /// The version in service.
    pub fn in_service(&self) -> Arc<ActiveVersion> {
        self.in_service.load_full()
    }

    /// Puts a snapshot in service, in one step. Messages in flight finish on
    /// the version that they began with.
    ///
    /// One whose policy is that of the version in service (the same component,
    /// settings and tables) makes no new version: its host settings take the
    /// place of those that are there.
    pub fn put_in_service(
        &self,
        snapshot: Arc<PolicySnapshot>,
        why: ActivationReason,
        now: Timestamp,
    ) -> Arc<ActiveVersion> {
        let mut past = self.past();
        let old = self.in_service();
        if old.snapshot.inputs() == snapshot.inputs() {
            return self.store(ActiveVersion {
                number: old.number,
                snapshot,
                since: old.since,
                why: old.why.clone(),
                statistics: Arc::clone(&old.statistics),
                proven: old.proven,
            });
        }
        let proven = past.has_decided(&snapshot);
        past.history.replaced(Arc::clone(&old));
        self.succeed(&mut past, &old, snapshot, (why, now), proven)
    }

    /// Goes back to an earlier policy at once: by its version's number, or to
    /// the newest that has decided on messages. Host settings stay as they are.
    ///
    /// # Errors
    ///
    /// When there is none, or when the one that is asked for is not kept, is the
    /// one in service, or does not fit the host settings.
    pub fn roll_back(
        &self,
        number: Option<u64>,
        now: Timestamp,
    ) -> Result<RolledBack, RollbackError> {
        let mut past = self.past();
        let old = self.in_service();
        let target = past.target(&old, number)?;
        let why = ActivationReason::Rollback {
            from: old.number,
            to: target.version.number,
        };
        Ok(self.go_back(&mut past, &old, target, why, now))
    }

    /// The version in service and those before it, newest first.
    pub fn history(&self) -> Vec<VersionSummary> {
        let past = self.past();
        let newest = self.in_service().summarize(None, true);
        let before = past.records.iter().rev().map(Retired::summarize);
        let all = past.history.kept();
        let kept = |number| all.iter().any(|kept| kept.number == number);
        let before = before.map(|record| VersionSummary {
            kept: kept(record.number),
            ..record
        });
        std::iter::once(newest).chain(before).collect()
    }

    /// The versions that are kept whole beside the one in service, oldest first.
    pub fn kept(&self) -> Vec<Arc<ActiveVersion>> {
        self.past().history.kept()
    }

    /// The version that a rollback without a number goes to.
    pub fn next_rollback(&self) -> Option<u64> {
        let target = self.past().target(&self.in_service(), None);
        target.ok().map(|target| target.version.number)
    }

    /// Gives the number of the version in service, and again whenever it or its
    /// host settings change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Counts a message that a version has decided on, as recent if `sampled`.
    /// Gives one that it failed on and the version before has to be asked about.
    pub(super) fn decided(
        &self,
        version: &Arc<ActiveVersion>,
        message: &Message,
        outcome: &Outcome,
        sampled: bool,
    ) -> Option<Doubt> {
        if outcome.failure().is_none() {
            self.senders.decided(sender(message));
        }
        let failing = version.statistics.count(message, outcome, sampled)?;
        let serving = self.in_service();
        if serving.number != version.number {
            // Messages in flight of a version that has been left already.
            return None;
        }
        match self.past().target(&serving, None) {
            Ok(target) => Some(Doubt {
                failing,
                before: target.fitted,
            }),
            Err(none) => {
                let most = serving.snapshot.config().policy.roll_back_after;
                if most != 0 && failing.in_a_row == Some(most) {
                    tracing::error!(
                        queue_id = message.envelope.queue_id,
                        version = serving.number,
                        "the policy in service failed on {most} different messages in a row, the \
                         last time with: {}. There is no automatic rollback: {none}. What messages \
                         get meanwhile is policy.on-error",
                        text(outcome)
                    );
                }
                None
            }
        }
    }

    /// Takes note that the version before decides a message on which the one in
    /// service failed, and goes back to it if that was one too many.
    pub(super) fn failed_alone(&self, suspect: &Suspect) {
        let version = &suspect.version;
        let serving = self.in_service();
        let policy = &serving.snapshot.config().policy;
        let bounds = Bounds {
            in_a_row: policy.roll_back_after,
            share: policy.roll_back_share.map(|share| share.fraction()),
            senders: self.senders.known(),
        };
        let verdict = version.statistics.own_failure(suspect.failed, &bounds);
        if let Some((failures, of)) = verdict.report {
            tracing::warn!(
                queue_id = suspect.message.envelope.queue_id,
                version = version.number,
                failures,
                of,
                "version {} of the policy failed on {failures} of the last {of} messages, which the \
                 version before decides; the last time with: {}",
                version.number,
                suspect.error
            );
        }
        if let Some(exceeded) = verdict.exceeded {
            self.failed_too_often(suspect, exceeded);
        }
    }

    fn failed_too_often(&self, suspect: &Suspect, exceeded: Exceeded) {
        let message = &suspect.message;
        let queue_id = message.envelope.queue_id.as_str();
        let from = suspect.version.number;
        let (errors, of) = match exceeded {
            Exceeded::InARow(errors) => (errors, None),
            Exceeded::Share { failures, of } => (failures, Some(of)),
        };
        let mut past = self.past();
        let serving = self.in_service();
        if serving.number != from {
            // It has been left meanwhile.
            return;
        }
        let Ok(target) = past.target(&serving, None) else {
            return;
        };
        let to = target.version.number;
        let why = ActivationReason::AutomaticRollback {
            from,
            to,
            errors,
            of,
            error: suspect.error.clone(),
        };
        let back = self.go_back(&mut past, &serving, target, why, message.arrival);
        for skipped in back.skipped {
            tracing::warn!("automatic rollback: {skipped}");
        }
        tracing::error!(
            queue_id,
            version = back.version.number,
            errors,
            "went back to the policy that was version {to}: version {from} failed on {}, which \
             that one decides; the last time with: {}. It stays out until its files change; \
             waxseal.toml and keys stay as they are. See `waxseal policy status`",
            Share(errors, of),
            suspect.error
        );
    }

    fn go_back(
        &self,
        past: &mut Past,
        old: &Arc<ActiveVersion>,
        target: Target<Arc<ActiveVersion>, Arc<PolicySnapshot>>,
        why: ActivationReason,
        now: Timestamp,
    ) -> RolledBack {
        let proven = target.version.has_decided();
        past.history
            .went_back(target.version.number, Arc::clone(old));
        RolledBack {
            version: self.succeed(past, old, target.fitted, (why, now), proven),
            skipped: target.skipped,
        }
    }

    /// Another policy takes the place of the one in service.
    fn succeed(
        &self,
        past: &mut Past,
        old: &Arc<ActiveVersion>,
        snapshot: Arc<PolicySnapshot>,
        (why, now): (ActivationReason, Timestamp),
        proven: bool,
    ) -> Arc<ActiveVersion> {
        past.records.push_back(Retired {
            version: RetiredVersion::Loaded(Arc::clone(old)),
            until: now,
        });
        past.lighten();
        self.store(ActiveVersion {
            number: old.number + 1,
            snapshot,
            since: now,
            why,
            statistics: Arc::new(Statistics::default()),
            proven,
        })
    }

    /// The one place where the pointer moves.
    fn store(&self, version: ActiveVersion) -> Arc<ActiveVersion> {
        let version = Arc::new(version);
        self.in_service.store(Arc::clone(&version));
        self.changed.send_replace(version.number);
        version
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doubt {
    /// All that it takes to ask the version before.
    pub(super) fn suspect(
        self,
        version: &Arc<ActiveVersion>,
        message: &Arc<Message>,
        outcome: &Outcome,
        facts: waxseal_runtime::FactTrace,
    ) -> Option<Suspect> {
        let ruling = outcome.result.as_ref()?;
        let charges = ruling
            .decision
            .iter()
            .flat_map(|decision| &decision.charges);
        Some(Suspect {
            counters: charges.map(|charge| charge.counter.clone()).collect(),
            version: Arc::clone(version),
            message: Arc::clone(message),
            failed: self.failing.failed,
            error: text(outcome),
            before: self.before,
            facts,
            seed: ruling.seed,
        })
    }
}

fn text(outcome: &Outcome) -> String {
    let failure = outcome.failure();
    failure.map(ToString::to_string).unwrap_or_default()
}

impl Past {
    /// Where a rollback goes, on the host settings of now.
    fn target(
        &self,
        serving: &Arc<ActiveVersion>,
        number: Option<u64>,
    ) -> Result<Target<Arc<ActiveVersion>, Arc<PolicySnapshot>>, RollbackError> {
        let host = serving.snapshot.host();
        self.history.target(serving, number, |version| {
            let fitted = version.snapshot.with_host(host);
            fitted.map_err(|problems| {
                let messages = problems.iter().map(|problem| problem.message.as_str());
                messages.collect::<Vec<_>>().join("; ")
            })
        })
    }

    /// Whether the same policy has decided on messages as an earlier version.
    fn has_decided(&self, snapshot: &PolicySnapshot) -> bool {
        let kept = self.history.kept();
        let mut same = kept
            .iter()
            .filter(|version| version.snapshot.inputs() == snapshot.inputs());
        same.any(Entry::has_decided)
    }

    /// Lets go of what nobody can go back to.
    fn lighten(&mut self) {
        while self.records.len() > RECORDS {
            self.records.pop_front();
        }
        let kept = self.history.kept();
        for left in &mut self.records {
            if let RetiredVersion::Loaded(version) = &left.version
                && !kept.iter().any(|kept| Arc::ptr_eq(kept, version))
            {
                left.version = RetiredVersion::Summary(Box::new(left.summarize()));
            }
        }
    }
}

impl Retired {
    fn summarize(&self) -> VersionSummary {
        match &self.version {
            RetiredVersion::Loaded(version) => version.summarize(Some(self.until), true),
            RetiredVersion::Summary(record) => VersionSummary::clone(record),
        }
    }
}

impl fmt::Debug for VersionHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionHistory")
            .field("active", &self.in_service())
            .finish_non_exhaustive()
    }
}
