//! Keeps the right version in service: from files to versions, by command, by
//! changed files, after a restart.
//!
//! The one rule, from which the rest follows: **files are tried when they are
//! others than those last seen**, by digest. Files that were refused, replaced
//! by command or gone back from stay out until somebody changes them, and a
//! restart is no change: what was in service then is remembered in the state
//! folder and put in service again, and this is said.
//!
//! A version passes these gates before it is put in service, and one that fails
//! any of them leaves everything as it is: its files can be read; the component
//! imports and exports what a policy may, and compiles; it takes its settings;
//! what they refer to exists, keys included; it passes the tests that come with
//! it. One version is tried at a time. Going back waits for none of that.
//!
//! `waxseal.toml` and keys are read at the start and at a reload, and nothing else
//! changes them: changed files, commands and rollbacks replace the policy only.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::admission::{Admission, Candidate, tell};
use super::check::Check;
use super::files::{paths, read};
use super::history::RollbackError;
use super::snapshots::{InputFiles, Pin, PinReason, SnapshotStore};
use super::status::{Refusal, Status, Trigger, Trying};
use super::version::{ActivationReason, ActiveVersion};
use super::version_history::{RolledBack, VersionHistory};
use crate::config::{Config, Problem, Severity};
use crate::pipeline::{DerivedKeys, InputDigests, PolicySnapshot};
use crate::runtime::Sandbox;

/// Keeps the right version in service.
pub struct PolicyManager {
    admission: Admission,
    pub(super) versions: Arc<VersionHistory>,
    pub(super) snapshots: SnapshotStore,
    /// One version is tried at a time.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    /// Held while the state folder is written to.
    pub(super) writing: Mutex<()>,
    /// Other files are to be watched.
    pub(super) renamed: Notify,
}

/// What is known about the files.
pub(super) struct Known {
    /// The configuration as it was last read and found good.
    pub(super) named: Config,
    /// What its files contained when they were last seen; none where they could
    /// not be read.
    pub(super) seen: Option<InputDigests>,
    pub(super) kept: Option<Pin>,
    refused: Option<Refusal>,
    trying: Option<Trying>,
}

impl PolicyManager {
    /// Puts the first version in service: what the files say, or what was in
    /// service instead of them when the host ended.
    ///
    /// # Errors
    ///
    /// All problems at once, when neither can be put in service.
    pub async fn start(
        sandbox: Sandbox,
        secrets: Arc<DerivedKeys>,
        checks: Vec<Arc<dyn Check>>,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        let snapshots = SnapshotStore::new(&config.state);
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        let kept = snapshots.pin().unwrap_or_else(|error| {
            tracing::error!("what was in service before is not known: {error}");
            None
        });
        let kept = kept.filter(|kept| kept.instead_of == seen);
        let admission = Admission {
            sandbox,
            secrets,
            checks,
        };
        let first = admission
            .validate_at_startup(&snapshots, &config, kept.as_ref(), now)
            .await?;
        let because = kept
            .as_ref()
            .map_or(PinReason::Swapped, |kept| kept.because);
        let versions = Arc::new(VersionHistory::new(first.snapshot, now));
        let manager = Self {
            admission,
            versions,
            snapshots,
            turn: tokio::sync::Mutex::default(),
            known: Mutex::new(Known {
                named: config,
                seen,
                kept: kept.filter(|_| first.remembered),
                refused: first.refused,
                trying: None,
            }),
            writing: Mutex::default(),
            renamed: Notify::new(),
        };
        let manager = Arc::new(manager);
        told(&manager.versions.in_service());
        manager.settle(because, taken, now).await;
        Ok(manager)
    }

    /// The version in service and those before it.
    pub fn versions(&self) -> &Arc<VersionHistory> {
        &self.versions
    }

    /// All about the policy in service.
    pub fn status(&self, now: Timestamp) -> Status {
        let known = self.known();
        let policy = &known.named.policy;
        Status {
            now,
            file: policy.file.clone(),
            settings: policy.settings.clone(),
            watched: policy.watch,
            roll_back_after: policy.roll_back_after,
            roll_back_share: policy.roll_back_share.map(|share| share.to_string()),
            versions: self.versions.history(),
            next_rollback: self.versions.next_rollback(),
            kept: known.kept.clone(),
            refused: known.refused.clone(),
            trying: known.trying.clone(),
        }
    }

    /// Takes over a configuration that was read again, and keys as they are now.
    /// The policy's files are tried if they have changed; what is in service
    /// instead of them stays so, and makes no new version.
    ///
    /// # Errors
    ///
    /// When it does not pass. What is in service stays.
    pub async fn reload(
        self: &Arc<Self>,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Refusal> {
        let _turn = self.turn.lock().await;
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        let unchanged = seen == self.known().seen;
        let because = self.because();
        let whole = Box::new(config.clone());
        let candidate = match because {
            // What they lacked may be there now.
            PinReason::Refused => Candidate::Whole(whole),
            _ if unchanged => Candidate::Host(whole),
            _ => Candidate::Whole(whole),
        };
        match self.gates(candidate, Trigger::Reload, now).await {
            Ok(passed) => {
                self.take_over(config, seen);
                Ok(self
                    .enter(passed, ActivationReason::Reload, because, taken, now)
                    .await)
            }
            Err(refusal) => {
                let known_files = paths(&config) == paths(&self.known().named);
                // Files that are refused once more keep no changed waxseal.toml
                // out: the policy in service is another anyway.
                if unchanged && known_files && because == PinReason::Refused {
                    let host = Candidate::Host(Box::new(config.clone()));
                    if let Ok(passed) = self.gates(host, Trigger::Reload, now).await {
                        self.take_over(config, seen);
                        let reloaded = self
                            .enter(
                                passed,
                                ActivationReason::Reload,
                                PinReason::Refused,
                                None,
                                now,
                            )
                            .await;
                        self.known().refused = Some(refusal);
                        return Ok(reloaded);
                    }
                }
                // Files of a configuration that is not in service are not those
                // that are watched.
                if known_files {
                    self.known().seen = seen;
                    self.settle(PinReason::Refused, None, now).await;
                }
                Err(refusal)
            }
        }
    }

    /// Why the files are not in service, if they are not.
    fn because(&self) -> PinReason {
        let kept = self.known().kept.as_ref().map(|kept| kept.because);
        kept.unwrap_or_else(|| match self.versions.in_service().why() {
            ActivationReason::Rollback { .. } => PinReason::RolledBack,
            // It may not have been written down yet.
            ActivationReason::AutomaticRollback { .. } => PinReason::Failed,
            _ => PinReason::Swapped,
        })
    }

    fn take_over(&self, config: Config, seen: Option<InputDigests>) {
        let mut known = self.known();
        known.named = config;
        known.seen = seen;
        self.renamed.notify_one();
    }

    /// Tries the files if they are others than those last seen. None where
    /// there is nothing to do.
    ///
    /// # Errors
    ///
    /// When they do not pass: told once, until they change again.
    pub async fn files_changed(
        self: &Arc<Self>,
        now: Timestamp,
    ) -> Option<Result<Arc<ActiveVersion>, Refusal>> {
        let _turn = self.turn.lock().await;
        let config = self.known().named.clone();
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        if seen == self.known().seen {
            return None;
        }
        self.known().seen.clone_from(&seen);
        if seen.as_ref() == Some(self.versions.in_service().snapshot().inputs()) {
            // As they were: whatever was wrong with them in between is over.
            self.known().refused = None;
            self.settle(PinReason::Swapped, None, now).await;
            return None;
        }
        let candidate = Candidate::Policy(Box::new(config));
        let tried = self.gates(candidate, Trigger::FilesChanged, now).await;
        Some(match tried {
            Ok(snapshot) => {
                // What was read is what was tried, should they have changed in
                // between.
                self.known().seen = Some(snapshot.inputs().clone());
                Ok(self
                    .enter(
                        snapshot,
                        ActivationReason::FilesChanged,
                        PinReason::Swapped,
                        taken,
                        now,
                    )
                    .await)
            }
            Err(refusal) => {
                self.settle(PinReason::Refused, None, now).await;
                Err(refusal)
            }
        })
    }

    /// Puts another policy in service than the files that are named: the same
    /// settings, unless others are given.
    ///
    /// # Errors
    ///
    /// When it does not pass. What is in service stays.
    pub async fn swap(
        self: &Arc<Self>,
        file: PathBuf,
        settings: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Refusal> {
        let _turn = self.turn.lock().await;
        let config = self.naming(file, settings);
        let taken = read(&config).await;
        let candidate = Candidate::Policy(Box::new(config));
        let snapshot = self.gates(candidate, Trigger::Command, now).await?;
        Ok(self
            .enter(
                snapshot,
                ActivationReason::Command,
                PinReason::Swapped,
                taken,
                now,
            )
            .await)
    }

    /// The configuration as it was last read and found good.
    pub(super) fn named(&self) -> Config {
        self.known().named.clone()
    }

    fn naming(&self, file: PathBuf, settings: Option<PathBuf>) -> Config {
        let mut config = self.named();
        config.policy.file = file;
        if settings.is_some() {
            config.policy.settings = settings;
        }
        config
    }

    /// Has a candidate pass the gates, in a sandbox of its own. Nothing is put
    /// in service, and nothing on disk is changed for it.
    ///
    /// # Errors
    ///
    /// When it does not pass.
    pub(super) async fn candidate(
        &self,
        sandbox: Sandbox,
        file: PathBuf,
        settings: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Refusal> {
        let mut config = self.naming(file.clone(), settings);
        config.dkim.generate = false;
        let admission = Admission {
            sandbox,
            secrets: Arc::clone(&self.admission.secrets),
            checks: self.admission.checks.clone(),
        };
        let serving = self.versions.in_service();
        let candidate = Candidate::Policy(Box::new(config));
        let built = admission
            .validate_candidate(candidate, serving.snapshot(), now)
            .await;
        built.map_err(|problems| Refusal::new(now, Trigger::Command, file, &problems))
    }

    /// Puts a candidate in service whose files are as they were when it passed
    /// the gates.
    ///
    /// # Errors
    ///
    /// When they are others now, or do not pass. What is in service stays.
    pub(super) async fn promote(
        self: &Arc<Self>,
        file: PathBuf,
        settings: Option<PathBuf>,
        inputs: &InputDigests,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, Refusal> {
        let _turn = self.turn.lock().await;
        let config = self.naming(file.clone(), settings);
        let same = |other: &InputDigests| {
            (&other.component, &other.settings) == (&inputs.component, &inputs.settings)
        };
        let changed = || {
            let message = "its files have changed since it was put in shadow";
            let expected = "what ran in shadow, or `waxseal policy shadow` for what is there now";
            let problem = Problem::of_file(&file, message, Some(expected.to_owned()));
            Refusal::new(now, Trigger::Command, file.clone(), &[problem])
        };
        let taken = read(&config).await;
        if !taken.as_ref().is_some_and(|taken| same(&taken.inputs)) {
            return Err(changed());
        }
        let candidate = Candidate::Policy(Box::new(config));
        let snapshot = self.gates(candidate, Trigger::Command, now).await?;
        if !same(snapshot.inputs()) {
            return Err(changed());
        }
        Ok(self
            .enter(
                snapshot,
                ActivationReason::Promotion,
                PinReason::Swapped,
                taken,
                now,
            )
            .await)
    }

    /// Goes back to an earlier policy, at once: by its version's number, or to
    /// the newest that has decided on messages.
    ///
    /// # Errors
    ///
    /// When there is none, or not that one.
    pub async fn roll_back(
        self: &Arc<Self>,
        number: Option<u64>,
        now: Timestamp,
    ) -> Result<RolledBack, RollbackError> {
        let back = self.versions.roll_back(number, now)?;
        for skipped in &back.skipped {
            tracing::info!("rollback: {skipped}");
        }
        told(&back.version);
        self.settle(PinReason::RolledBack, None, now).await;
        Ok(back)
    }

    /// Tries a version. What came of it is logged here, and nowhere else.
    async fn gates(
        &self,
        candidate: Candidate,
        trigger: Trigger,
        now: Timestamp,
    ) -> Result<Arc<PolicySnapshot>, Refusal> {
        let file = candidate.named().policy.file.clone();
        let serving = self.versions.in_service();
        let before = serving.number();
        self.known().trying = Some(Trying {
            since: now,
            trigger,
            file: file.clone(),
        });
        let host_alone = matches!(candidate, Candidate::Host(_));
        let built = self
            .admission
            .validate_candidate(candidate, serving.snapshot(), now)
            .await;
        // One version is tried at a time: only a rollback comes in between.
        let overruled = || self.versions.in_service().number() != before;
        let built = match built {
            Ok(snapshot) if host_alone && overruled() => {
                let version = self.versions.in_service();
                let rehosted = version.snapshot().with_host(snapshot.host());
                rehosted.map_err(Vec::from)
            }
            Ok(_) if overruled() => Err(vec![Problem::of_file(
                &file,
                "a rollback to an earlier version came while this one was being checked",
                Some(
                    "a reload, changed files, or `waxseal policy swap`, to have it in service after all"
                        .into(),
                ),
            )]),
            built => built,
        };
        let mut known = self.known();
        known.trying = None;
        match built {
            Ok(snapshot) => Ok(snapshot),
            Err(mut problems) => {
                // Warnings of a version that is not in service are of no use.
                problems.retain(|problem| problem.severity == Severity::Error);
                tell(&problems);
                let refusal = Refusal::new(now, trigger, file, &problems);
                let version = self.versions.in_service();
                tracing::error!(
                    "the policy {} was not put in service: {} problem(s). ActiveVersion {} ({}) stays",
                    refusal.file.display(),
                    refusal.problems.len(),
                    version.number(),
                    version.snapshot().policy_id(),
                );
                known.refused = Some(refusal.clone());
                Err(refusal)
            }
        }
    }

    async fn enter(
        self: &Arc<Self>,
        snapshot: Arc<PolicySnapshot>,
        why: ActivationReason,
        because: PinReason,
        taken: Option<InputFiles>,
        now: Timestamp,
    ) -> Arc<ActiveVersion> {
        let before = self.versions.in_service();
        let version = self.versions.put_in_service(snapshot, why, now);
        self.known().refused = None;
        if before.number() == version.number() {
            unchanged(&before, &version);
        } else {
            told(&version);
        }
        self.settle(because, taken, now).await;
        version
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line for each version that goes in service.
fn told(version: &ActiveVersion) {
    let policy = version.snapshot().policy_id();
    tracing::info!(
        version = version.number(),
        policy = policy.name,
        policy_version = policy.version,
        digest = policy.digest,
        "in service: {}; messages in flight finish as they began",
        version.why()
    );
}

/// One line for a policy that is in service already.
fn unchanged(before: &ActiveVersion, version: &ActiveVersion) {
    let (old, new) = (before.snapshot().host(), version.snapshot().host());
    if old.is_same(new) {
        tracing::info!(
            version = version.number(),
            "nothing changed: version {} of the policy stays in service, with the same \
             configuration and keys",
            version.number()
        );
    } else {
        tracing::info!(
            version = version.number(),
            "the configuration and keys that were read are in service; version {} of the policy \
             stays",
            version.number()
        );
    }
}

impl fmt::Debug for PolicyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyManager")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}
