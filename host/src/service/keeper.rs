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

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::gate::{Gate, tell};
use super::shelf::{Because, Kept, Shelf, ShelfError, Taken};
use super::status::{Refusal, Status, Trigger, Trying};
use super::version::{Version, Why};
use super::versions::{NoVersionBefore, Versions};
use super::watch::Watch;
use crate::config::{Config, Problem, Severity};
use crate::pipeline::{Generation, Inputs, Secrets};
use crate::policy::Sandbox;

/// How long a file may be missing before that is told: it may be on its way.
const MISSING: Duration = Duration::from_secs(2);

/// Keeps the right version in service.
pub struct Keeper {
    gate: Gate,
    versions: Arc<Versions>,
    shelf: Shelf,
    /// One version is tried at a time.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    /// Held while the state folder is written to.
    writing: Mutex<()>,
    /// Other files are to be watched.
    renamed: Notify,
}

/// What is known about the files.
struct Known {
    /// The configuration as it was last read and found good.
    named: Config,
    /// What its files contained when they were last seen; none where they could
    /// not be read.
    seen: Option<Inputs>,
    kept: Option<Kept>,
    refused: Option<Refusal>,
    trying: Option<Trying>,
}

impl Keeper {
    /// Puts the first version in service: what the files say, or what was in
    /// service instead of them when the host ended.
    ///
    /// # Errors
    ///
    /// All problems at once, when neither can be put in service.
    pub async fn start(
        sandbox: Sandbox,
        secrets: Arc<Secrets>,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        let shelf = Shelf::new(&config.state);
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        let kept = shelf.note().unwrap_or_else(|error| {
            tracing::error!("what was in service before is not known: {error}");
            None
        });
        let kept = kept.filter(|kept| kept.instead_of == seen);
        let gate = Gate { sandbox, secrets };
        let first = gate.first(&shelf, &config, kept.as_ref(), now).await?;
        let because = kept.as_ref().map_or(Because::Swapped, |kept| kept.because);
        let versions = Arc::new(Versions::new(first.generation, now));
        let keeper = Self {
            gate,
            versions,
            shelf,
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
        let keeper = Arc::new(keeper);
        told(&keeper.versions.in_service());
        keeper.settle(because, taken, now).await;
        Ok(keeper)
    }

    /// The version in service and those before it.
    pub fn versions(&self) -> &Arc<Versions> {
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
            versions: self.versions.history(),
            kept: known.kept.clone(),
            refused: known.refused.clone(),
            trying: known.trying.clone(),
        }
    }

    /// Takes over a configuration that was read again, with its files as they
    /// are now; what is in service instead of them stays so with it.
    ///
    /// # Errors
    ///
    /// When it does not pass. What is in service stays.
    pub async fn reload(
        self: &Arc<Self>,
        config: Config,
        now: Timestamp,
    ) -> Result<Arc<Version>, Refusal> {
        let _turn = self.turn.lock().await;
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        let kept = self.known().kept.clone();
        let kept = kept.filter(|kept| kept.because != Because::Refused && kept.instead_of == seen);
        let because = kept.as_ref().map_or(Because::Swapped, |kept| kept.because);
        let instead = kept.and_then(|kept| self.shelf.remembered(&config, &kept));
        let candidate = instead.unwrap_or_else(|| config.clone());
        let passed = match self.gates(candidate, Trigger::Reload, now).await {
            Ok(generation) => generation,
            Err(refusal) => {
                // Files of a configuration that is not in service are not those
                // that are watched.
                if paths(&config) == paths(&self.known().named) {
                    self.known().seen = seen;
                    self.settle(Because::Refused, None, now).await;
                }
                return Err(refusal);
            }
        };
        {
            let mut known = self.known();
            known.named = config;
            known.seen = seen;
        }
        self.renamed.notify_one();
        Ok(self.enter(passed, Why::Reload, because, taken, now).await)
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
    ) -> Option<Result<Arc<Version>, Refusal>> {
        let _turn = self.turn.lock().await;
        let config = self.known().named.clone();
        let taken = read(&config).await;
        let seen = taken.as_ref().map(|taken| taken.inputs.clone());
        if seen == self.known().seen {
            return None;
        }
        self.known().seen.clone_from(&seen);
        if seen.as_ref() == Some(self.versions.in_service().generation().inputs()) {
            // As they were: whatever was wrong with them in between is over.
            self.known().refused = None;
            self.settle(Because::Swapped, None, now).await;
            return None;
        }
        Some(match self.gates(config, Trigger::FilesChanged, now).await {
            Ok(generation) => {
                // What was read is what was tried, should they have changed in
                // between.
                self.known().seen = Some(generation.inputs().clone());
                Ok(self
                    .enter(generation, Why::FilesChanged, Because::Swapped, taken, now)
                    .await)
            }
            Err(refusal) => {
                self.settle(Because::Refused, None, now).await;
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
    ) -> Result<Arc<Version>, Refusal> {
        let _turn = self.turn.lock().await;
        let config = self.naming(file, settings);
        let taken = read(&config).await;
        let generation = self.gates(config, Trigger::Command, now).await?;
        Ok(self
            .enter(generation, Why::Command, Because::Swapped, taken, now)
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
    ) -> Result<Arc<Generation>, Refusal> {
        let mut config = self.naming(file.clone(), settings);
        config.dkim.generate = false;
        let gate = Gate {
            sandbox,
            secrets: Arc::clone(&self.gate.secrets),
        };
        let built = gate.try_out(config, now).await;
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
        inputs: &Inputs,
        now: Timestamp,
    ) -> Result<Arc<Version>, Refusal> {
        let _turn = self.turn.lock().await;
        let config = self.naming(file.clone(), settings);
        let same = |other: &Inputs| {
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
        let generation = self.gates(config, Trigger::Command, now).await?;
        if !same(generation.inputs()) {
            return Err(changed());
        }
        Ok(self
            .enter(generation, Why::Promotion, Because::Swapped, taken, now)
            .await)
    }

    /// Goes back to the version before the one in service, at once.
    ///
    /// # Errors
    ///
    /// When none is kept.
    pub async fn roll_back(
        self: &Arc<Self>,
        now: Timestamp,
    ) -> Result<Arc<Version>, NoVersionBefore> {
        let version = self.versions.roll_back(now)?;
        told(&version);
        self.settle(Because::RolledBack, None, now).await;
        Ok(version)
    }

    /// Watches the files, and remembers when the host went back by itself. Runs
    /// for ever.
    pub async fn keep(self: Arc<Self>) {
        let watching = Arc::clone(&self).watch_files();
        let mut changes = self.versions.changes();
        let remembering = async {
            while changes.changed().await.is_ok() {
                let version = self.versions.in_service();
                if let Why::AutomaticRollback { .. } = version.why() {
                    self.settle(Because::Failed, None, version.since()).await;
                }
            }
        };
        tokio::join!(watching, remembering);
    }

    async fn watch_files(self: Arc<Self>) {
        let mut watch = Watch::new();
        loop {
            let named = self.known().named.clone();
            let paths = paths(&named);
            watch.set(paths.clone());
            let changed = async {
                match named.policy.watch {
                    true => watch.changed().await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = self.renamed.notified() => continue,
            }
            if paths.iter().any(|path| !path.exists()) {
                // Perhaps it is being replaced.
                watch.event(MISSING).await;
            }
            // What came of it has been told.
            let _ = self.files_changed(Timestamp::now()).await;
        }
    }

    /// Tries a version. What came of it is logged here, and nowhere else.
    async fn gates(
        &self,
        config: Config,
        trigger: Trigger,
        now: Timestamp,
    ) -> Result<Arc<Generation>, Refusal> {
        let file = config.policy.file.clone();
        let before = self.versions.in_service().number();
        self.known().trying = Some(Trying {
            since: now,
            trigger,
            file: file.clone(),
        });
        let built = self.gate.try_out(config, now).await;
        let overruled = || {
            let version = self.versions.in_service();
            let back = matches!(version.why(), Why::Rollback { .. });
            back && version.number() != before
        };
        let built = match built {
            Ok(_) if overruled() => Err(vec![Problem::of_file(
                &file,
                "somebody went back to an earlier version while this one was being checked",
                Some(
                    "changed files, or `waxseal policy swap`, to have it in service after all"
                        .into(),
                ),
            )]),
            built => built,
        };
        let mut known = self.known();
        known.trying = None;
        match built {
            Ok(generation) => Ok(generation),
            Err(mut problems) => {
                // Warnings of a version that is not in service are of no use.
                problems.retain(|problem| problem.severity == Severity::Error);
                tell(&problems);
                let refusal = Refusal::new(now, trigger, file, &problems);
                let version = self.versions.in_service();
                tracing::error!(
                    "the policy {} was not put in service: {} problem(s). Version {} ({}) stays",
                    refusal.file.display(),
                    refusal.problems.len(),
                    version.number(),
                    version.generation().policy_id(),
                );
                known.refused = Some(refusal.clone());
                Err(refusal)
            }
        }
    }

    async fn enter(
        self: &Arc<Self>,
        generation: Arc<Generation>,
        why: Why,
        because: Because,
        taken: Option<Taken>,
        now: Timestamp,
    ) -> Arc<Version> {
        let version = self.versions.put_in_service(generation, why, now);
        self.known().refused = None;
        told(&version);
        self.settle(because, taken, now).await;
        version
    }

    /// Writes down what a restart has to know.
    async fn settle(self: &Arc<Self>, because: Because, taken: Option<Taken>, now: Timestamp) {
        let keeper = Arc::clone(self);
        let write = move || keeper.write_down(because, taken.as_ref(), now);
        let settled = tokio::task::spawn_blocking(write).await;
        let settled = settled.unwrap_or_else(|error| {
            tracing::error!("writing down which policy is in service: {error}");
            Ok(())
        });
        if let Err(error) = settled {
            tracing::error!("a restart will not know that this policy was in service: {error}");
        }
    }

    fn write_down(
        &self,
        because: Because,
        taken: Option<&Taken>,
        now: Timestamp,
    ) -> Result<(), ShelfError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.versions.in_service();
        let inputs = version.generation().inputs();
        let kept = self.now_kept(inputs, because, now);
        let put = self.shelf.put(inputs, taken);
        // A note without its copies would be of no use.
        let noted = self.shelf.set_note(kept.as_ref().filter(|_| put.is_ok()));
        // Told from now on: who reads it may rely on it over a restart.
        self.known().kept = kept;
        noted?;
        let before = self.versions.kept();
        let needed: Vec<Inputs> = std::iter::once(&version)
            .chain(&before)
            .map(|version| version.generation().inputs().clone())
            .collect();
        self.shelf.sweep(&needed);
        put
    }

    /// What is in service in place of what the files say, if it is not the same.
    fn now_kept(&self, inputs: &Inputs, because: Because, now: Timestamp) -> Option<Kept> {
        let known = self.known();
        if known.seen.as_ref() == Some(inputs) {
            return None;
        }
        // What has been so for a while keeps its reason.
        let same = |kept: &&Kept| kept.instead_of == known.seen && kept.inputs == *inputs;
        let old = known.kept.as_ref().filter(same);
        Some(old.cloned().unwrap_or_else(|| Kept {
            instead_of: known.seen.clone(),
            inputs: inputs.clone(),
            because,
            since: now,
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line for each version that goes in service.
fn told(version: &Version) {
    let policy = version.generation().policy_id();
    tracing::info!(
        version = version.number(),
        policy = policy.name,
        policy_version = policy.version,
        digest = policy.digest,
        "in service: {}; messages in flight finish as they began",
        version.why()
    );
}

/// What the files of a configuration contain; none where one cannot be read.
async fn read(config: &Config) -> Option<Taken> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || Taken::read(&config));
    read.await.ok()?
}

/// The files of a configuration that are watched.
fn paths(config: &Config) -> Vec<PathBuf> {
    let tables = config.tables.iter().map(|table| &table.file);
    std::iter::once(&config.policy.file)
        .chain(&config.policy.settings)
        .chain(tables)
        .cloned()
        .collect()
}
