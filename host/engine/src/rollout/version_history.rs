//! The active version and earlier ones.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

use super::failures::{Bounds, Exceeded, Senders};
use super::history::{Entry, History, RollbackError, Skipped, Target};
use super::recheck_job::RecheckJob;
use super::statistics::{Failing, Statistics, sender};
use super::version::{ActivationReason, ActiveVersion, Share, VersionSummary};
use crate::pipeline::{Outcome, PolicySnapshot};
use waxseal_core::message::Message;

/// Maximum number of earlier versions that are listed.
pub const RECORDS: usize = 32;

/// The active version and earlier ones.
pub struct VersionHistory {
    active: ArcSwap<ActiveVersion>,
    past: Mutex<Past>,
    senders: Senders,
    changed: watch::Sender<u64>,
}

/// Earlier versions, oldest first.
#[derive(Default)]
struct Past {
    history: History<Arc<ActiveVersion>>,
    records: VecDeque<Retired>,
}

/// An earlier version. Its summary is made on demand, reason messages in flight still count.
struct Retired {
    version: RetiredVersion,
    until: Timestamp,
}

/// A version while it is retained, its summary afterwards.
enum RetiredVersion {
    Loaded(Arc<ActiveVersion>),
    Summary(Box<VersionSummary>),
}

/// The result of a rollback.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The version that is active now.
    pub version: Arc<ActiveVersion>,
    /// Later versions that were skipped.
    pub skipped: Vec<Skipped>,
}

/// A message that the active version failed on, with the previous version for its recheck.
pub(super) struct RecheckRequest {
    failing: Failing,
    pub(super) before: Arc<PolicySnapshot>,
}

impl VersionHistory {
    /// Activates the first version.
    pub fn new(snapshot: Arc<PolicySnapshot>, now: Timestamp) -> Self {
        let first = ActiveVersion {
            number: 1,
            snapshot,
            since: now,
            reason: ActivationReason::Start,
            statistics: Arc::default(),
            proven: false,
        };
        Self {
            active: ArcSwap::from(Arc::new(first)),
            past: Mutex::default(),
            senders: Senders::default(),
            changed: watch::Sender::new(1),
        }
    }

    /// The active version.
    pub fn active(&self) -> Arc<ActiveVersion> {
        self.active.load_full()
    }

    /// Activates a snapshot atomically. Messages in flight finish on the version that they began with.
    ///
    /// If its policy equals the active one (the same component, settings and tables), no new version is
    /// created: its host settings replace the current ones.
    pub fn activate(
        &self,
        snapshot: Arc<PolicySnapshot>,
        reason: ActivationReason,
        now: Timestamp,
    ) -> Arc<ActiveVersion> {
        let mut past = self.past();
        let old = self.active();
        if old.snapshot.inputs() == snapshot.inputs() {
            return self.store(ActiveVersion {
                number: old.number,
                snapshot,
                since: old.since,
                reason: old.reason.clone(),
                statistics: Arc::clone(&old.statistics),
                proven: old.proven,
            });
        }
        let proven = past.has_decided(&snapshot);
        past.history.replaced(Arc::clone(&old));
        self.replace_active(&mut past, &old, snapshot, (reason, now), proven)
    }

    /// Rolls back to an earlier policy at once: by its version's number, or to the newest that decided
    /// messages. Host settings do not change.
    ///
    /// # Errors
    ///
    /// If there is none; or if the requested one is not retained, is active, or is incompatible with the host
    /// settings.
    pub fn roll_back(
        &self,
        number: Option<u64>,
        now: Timestamp,
    ) -> Result<RolledBack, RollbackError> {
        let mut past = self.past();
        let old = self.active();
        let target = past.target(&old, number)?;
        let reason = ActivationReason::Rollback {
            from: old.number,
            to: target.version.number,
        };
        Ok(self.roll_back_to(&mut past, &old, target, reason, now))
    }

    /// The active version and earlier ones, newest first.
    pub fn history(&self) -> Vec<VersionSummary> {
        let past = self.past();
        let newest = self.active().summarize(None, true);
        let before = past.records.iter().rev().map(Retired::summarize);
        let all = past.history.retained();
        let retained = |number| all.iter().any(|retained| retained.number == number);
        let before = before.map(|record| VersionSummary {
            retained: retained(record.number),
            ..record
        });
        std::iter::once(newest).chain(before).collect()
    }

    /// The retained versions before the active one, oldest first.
    pub fn retained(&self) -> Vec<Arc<ActiveVersion>> {
        self.past().history.retained()
    }

    /// The version that a rollback without a number selects.
    pub fn next_rollback(&self) -> Option<u64> {
        let target = self.past().target(&self.active(), None);
        target.ok().map(|target| target.version.number)
    }

    /// The number of the active version, updated whenever it or its host settings change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Counts a message that a version decided, as recent if `sampled`. Returns a failure that the previous
    /// version must recheck.
    pub(super) fn decided(
        &self,
        version: &Arc<ActiveVersion>,
        message: &Message,
        outcome: &Outcome,
        sampled: bool,
    ) -> Option<RecheckRequest> {
        if outcome.failure().is_none() {
            self.senders.decided(sender(message));
        }
        let failing = version.statistics.count(message, outcome, sampled)?;
        let serving = self.active();
        if serving.number != version.number {
            // Messages in flight of a version that is no longer active.
            return None;
        }
        match self.past().target(&serving, None) {
            Ok(target) => Some(RecheckRequest {
                failing,
                before: target.fitted,
            }),
            Err(none) => {
                let most = serving.snapshot.config().policy.roll_back_after;
                if most != 0 && failing.consecutive == Some(most) {
                    tracing::error!(
                        queue_id = message.envelope.queue_id,
                        version = serving.number,
                        "the active policy failed on {most} different messages in a row; last error: \
                         {}. No automatic rollback: {none}. policy.on-error applies to these \
                         messages",
                        text(outcome)
                    );
                }
                None
            }
        }
    }

    /// Counts a failure of the active version on a message that the previous version decides, and rolls back if
    /// it is one too many.
    pub(super) fn count_own_failure(&self, job: &RecheckJob) {
        let version = &job.version;
        let serving = self.active();
        let policy = &serving.snapshot.config().policy;
        let bounds = Bounds {
            consecutive: policy.roll_back_after,
            share: policy.roll_back_share.map(|share| share.fraction()),
            senders: self.senders.known(),
        };
        let verdict = version.statistics.own_failure(job.failed, &bounds);
        if let Some((failures, of)) = verdict.report {
            tracing::warn!(
                queue_id = job.message.envelope.queue_id,
                version = version.number,
                failures,
                of,
                "version {} of the policy failed on {failures} of the last {of} messages, which the \
                 previous version decides; last error: {}",
                version.number,
                job.error
            );
        }
        if let Some(exceeded) = verdict.exceeded {
            self.roll_back_automatically(job, exceeded);
        }
    }

    fn roll_back_automatically(&self, job: &RecheckJob, exceeded: Exceeded) {
        let message = &job.message;
        let queue_id = message.envelope.queue_id.as_str();
        let from = job.version.number;
        let (errors, of) = match exceeded {
            Exceeded::InARow(errors) => (errors, None),
            Exceeded::Share { failures, of } => (failures, Some(of)),
        };
        let mut past = self.past();
        let serving = self.active();
        if serving.number != from {
            // It is no longer active.
            return;
        }
        let Ok(target) = past.target(&serving, None) else {
            return;
        };
        let to = target.version.number;
        let reason = ActivationReason::AutomaticRollback {
            from,
            to,
            errors,
            of,
            error: job.error.clone(),
        };
        let back = self.roll_back_to(&mut past, &serving, target, reason, message.arrival);
        for skipped in back.skipped {
            tracing::warn!("automatic rollback: {skipped}");
        }
        tracing::error!(
            queue_id,
            version = back.version.number,
            errors,
            "automatic rollback to version {to}: version {from} failed on {}, which version {to} \
             decides; last error: {}. Version {from} stays inactive until its files change; \
             waxseal.toml and keys are unchanged. See `waxseal policy status`",
            Share(errors, of),
            job.error
        );
    }

    fn roll_back_to(
        &self,
        past: &mut Past,
        old: &Arc<ActiveVersion>,
        target: Target<Arc<ActiveVersion>, Arc<PolicySnapshot>>,
        reason: ActivationReason,
        now: Timestamp,
    ) -> RolledBack {
        let proven = target.version.has_decided();
        past.history
            .went_back(target.version.number, Arc::clone(old));
        RolledBack {
            version: self.replace_active(past, old, target.fitted, (reason, now), proven),
            skipped: target.skipped,
        }
    }

    /// Replaces the active policy by another.
    fn replace_active(
        &self,
        past: &mut Past,
        old: &Arc<ActiveVersion>,
        snapshot: Arc<PolicySnapshot>,
        (reason, now): (ActivationReason, Timestamp),
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
            reason,
            statistics: Arc::new(Statistics::default()),
            proven,
        })
    }

    /// The only place where the pointer changes.
    fn store(&self, version: ActiveVersion) -> Arc<ActiveVersion> {
        let version = Arc::new(version);
        self.active.store(Arc::clone(&version));
        self.changed.send_replace(version.number);
        version
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecheckRequest {
    /// Everything that a recheck by the previous version needs.
    pub(super) fn job(
        self,
        version: &Arc<ActiveVersion>,
        message: &Arc<Message>,
        outcome: &Outcome,
        facts: waxseal_runtime::FactTrace,
    ) -> Option<RecheckJob> {
        let result = outcome.result.as_ref()?;
        let charges = result
            .decision
            .iter()
            .flat_map(|decision| &decision.charges);
        Some(RecheckJob {
            counters: charges.map(|charge| charge.counter.clone()).collect(),
            version: Arc::clone(version),
            message: Arc::clone(message),
            failed: self.failing.failed,
            error: text(outcome),
            before: self.before,
            facts,
            seed: result.seed,
        })
    }
}

fn text(outcome: &Outcome) -> String {
    let failure = outcome.failure();
    failure.map(ToString::to_string).unwrap_or_default()
}

impl Past {
    /// The target of a rollback, for the current host settings.
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

    /// Whether the same policy decided messages as an earlier version.
    fn has_decided(&self, snapshot: &PolicySnapshot) -> bool {
        let retained = self.history.retained();
        let mut same = retained
            .iter()
            .filter(|version| version.snapshot.inputs() == snapshot.inputs());
        same.any(Entry::has_decided)
    }

    /// Drops versions that no rollback can select.
    fn lighten(&mut self) {
        while self.records.len() > RECORDS {
            self.records.pop_front();
        }
        let retained = self.history.retained();
        for left in &mut self.records {
            if let RetiredVersion::Loaded(version) = &left.version
                && !retained
                    .iter()
                    .any(|retained| Arc::ptr_eq(retained, version))
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
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}
