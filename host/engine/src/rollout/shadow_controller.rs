//! The controller of the shadow run: starts, stops and promotes the candidate by command.
//!
//! A candidate passes the same admission as an active version, in a sandbox of its own with one
//! slot. For a promotion the same files pass it again for the sandbox that serves mail: they must
//! not have changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io, mem};

use jiff::Timestamp;
use thiserror::Error;

use super::PolicyService;
use super::manager::PolicyManager;
use super::observe::Subscription;
use super::shadow_run::{Comparison, ShadowRun};
use super::status::Rejection;
use super::version::ActiveVersion;
use crate::config::{Config, Share};
use waxseal_runtime::{LoadError, Sandbox};

/// Creates a sandbox for one candidate, with the limits of a configuration but a single slot.
pub type MakeSandbox = dyn Fn(&Config) -> Result<Sandbox, LoadError> + Send + Sync;

/// Why a shadow command fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// There is no candidate.
    #[error("no shadow candidate is running; start one with `waxseal policy shadow FILE`")]
    None,
    /// The candidate was rejected.
    #[error("{} was rejected", .0.file.display())]
    Refused(Rejection),
    /// It failed on more messages than the active version.
    #[error(
        "the candidate failed on {failed} of {of} messages in its shadow run, the active version on \
         {active} of them; `waxseal policy promote --force` activates it nevertheless"
    )]
    Fails {
        /// Messages that the candidate failed on.
        failed: u64,
        /// Messages that the active version failed on.
        active: u64,
        /// Messages that both were called for.
        of: u64,
    },
    /// The sandbox for it cannot be created.
    #[error("cannot create the sandbox of the candidate: {0}")]
    Sandbox(#[from] LoadError),
    /// The thread for it cannot be started.
    #[error("cannot start the thread of the candidate: {0}")]
    Thread(#[from] io::Error),
}

/// The controller of the shadow candidate.
pub struct ShadowController {
    manager: Arc<PolicyManager>,
    service: Arc<PolicyService>,
    sandbox: Box<MakeSandbox>,
    current: Mutex<Option<Current>>,
    /// Serializes commands.
    turn: tokio::sync::Mutex<()>,
}

struct Current {
    file: PathBuf,
    settings: Option<PathBuf>,
    shadow: Arc<ShadowRun>,
    /// Ends with the run.
    _subscription: Subscription,
}

impl ShadowController {
    /// A controller without a candidate.
    pub fn new(
        manager: Arc<PolicyManager>,
        service: Arc<PolicyService>,
        sandbox: Box<MakeSandbox>,
    ) -> Self {
        Self {
            manager,
            service,
            sandbox,
            current: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Starts a shadow run; it replaces the current one.
    ///
    /// # Errors
    ///
    /// If the candidate is rejected; the current one continues.
    pub async fn begin(
        &self,
        file: PathBuf,
        settings: Option<PathBuf>,
        share: Share,
        now: Timestamp,
    ) -> Result<Comparison, ShadowError> {
        let _turn = self.turn.lock().await;
        let sandbox = (self.sandbox)(&self.manager.config())?;
        let candidate = self
            .manager
            .validate(sandbox, file.clone(), settings.clone(), now)
            .await
            .map_err(ShadowError::Refused)?;
        let shadow = Arc::new(ShadowRun::start(
            candidate,
            share,
            self.service.ledger(),
            now,
        )?);
        let comparison = shadow.comparison();
        tracing::info!(
            digest = comparison.candidate.digest,
            "shadow run started: {} decides on {share} of the mail, without effect",
            comparison.candidate
        );
        let subscription = self.service.observe(shadow.clone());
        self.replace(Some(Current {
            file,
            settings,
            shadow,
            _subscription: subscription,
        }));
        Ok(comparison)
    }

    /// The comparison so far.
    ///
    /// # Errors
    ///
    /// If there is no candidate.
    pub fn comparison(&self) -> Result<Comparison, ShadowError> {
        match &*self.current() {
            Some(current) => Ok(current.shadow.comparison()),
            None => Err(ShadowError::None),
        }
    }

    /// Stops the shadow run, and returns its comparison.
    ///
    /// # Errors
    ///
    /// If there is no candidate.
    pub async fn stop(&self) -> Result<Comparison, ShadowError> {
        let _turn = self.turn.lock().await;
        self.end().ok_or(ShadowError::None)
    }

    /// Activates the candidate and stops the shadow run.
    ///
    /// # Errors
    ///
    /// If there is no candidate; if its files have changed or are rejected; or, unless forced, if it
    /// failed on more messages than the active version. The shadow run then continues.
    pub async fn promote(
        &self,
        force: bool,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, ShadowError> {
        let _turn = self.turn.lock().await;
        let (file, settings, shadow) = {
            let current = self.current();
            let current = current.as_ref().ok_or(ShadowError::None)?;
            let (file, settings) = (current.file.clone(), current.settings.clone());
            (file, settings, Arc::clone(&current.shadow))
        };
        let comparison = shadow.comparison();
        let (failed, active) = (comparison.failed(), comparison.active_failed());
        if failed > active && !force {
            return Err(ShadowError::Fails {
                failed,
                active,
                of: comparison.compared,
            });
        }
        let inputs = shadow.candidate().inputs();
        let promoted = self
            .manager
            .promote(file, settings, inputs, now)
            .await
            .map_err(ShadowError::Refused)?;
        self.end();
        Ok(promoted)
    }

    fn end(&self) -> Option<Comparison> {
        let ended = self.replace(None)?;
        let comparison = ended.comparison();
        tracing::info!(
            digest = comparison.candidate.digest,
            compared = comparison.compared,
            different = comparison.different,
            skipped = comparison.skipped,
            "shadow run ended: {}",
            comparison.candidate
        );
        Some(comparison)
    }

    /// Replaces the shadow run; the subscription of the old one ends.
    fn replace(&self, next: Option<Current>) -> Option<Arc<ShadowRun>> {
        let old = mem::replace(&mut *self.current(), next);
        old.map(|old| old.shadow)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ShadowController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let candidate = self.current().as_ref().map(|current| current.file.clone());
        f.debug_struct("ShadowController")
            .field("candidate", &candidate)
            .finish_non_exhaustive()
    }
}
