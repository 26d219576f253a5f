//! The one candidate that runs in shadow, begun, ended and promoted by command.
//!
//! A candidate passes the gates that a version in service passes, in a sandbox
//! of its own with one slot. Promoting it has the same files pass them again for
//! the sandbox that serves mail: they must not have changed since.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io, mem};

use jiff::Timestamp;
use thiserror::Error;

use super::PolicyService;
use super::manager::PolicyManager;
use super::observe::Observer;
use super::shadow_run::{Comparison, ShadowRun};
use super::status::Refusal;
use super::version::ActiveVersion;
use crate::config::{Config, Share};
use waxseal_runtime::{LoadError, Sandbox};

/// Makes a sandbox for one candidate, under the limits of a configuration but
/// with a single slot.
pub type MakeSandbox = dyn Fn(&Config) -> Result<Sandbox, LoadError> + Send + Sync;

/// Why a candidate is not in shadow, or not in service.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// There is none.
    #[error(
        "there is no candidate in shadow; `waxseal policy shadow FILE` has one decide on live mail without effect"
    )]
    None,
    /// It did not pass.
    #[error("{} is refused", .0.file.display())]
    Refused(Refusal),
    /// It failed more often than the version in service.
    #[error(
        "the candidate failed on {failed} of the {of} messages that it was given in shadow, the \
         version in service on {in_service} of them. `waxseal policy promote --force` puts it in \
         service all the same"
    )]
    Fails {
        /// Messages that it failed on.
        failed: u64,
        /// Messages that the version in service failed on.
        in_service: u64,
        /// Messages that both were asked about.
        of: u64,
    },
    /// No sandbox can be made for it.
    #[error("there is no room for a candidate: {0}")]
    Sandbox(#[from] LoadError),
    /// No thread can be made for it.
    #[error("there is no thread for a candidate: {0}")]
    Thread(#[from] io::Error),
}

/// The candidate in shadow, if there is one.
pub struct ShadowController {
    manager: Arc<PolicyManager>,
    service: Arc<PolicyService>,
    sandbox: Box<MakeSandbox>,
    current: Mutex<Option<Current>>,
    /// One command at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Current {
    file: PathBuf,
    settings: Option<PathBuf>,
    shadow: Arc<ShadowRun>,
    observer: Arc<dyn Observer>,
}

impl ShadowController {
    /// No candidate yet.
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

    /// Puts a candidate in shadow, in the place of the one that is there.
    ///
    /// # Errors
    ///
    /// When it does not pass the gates; the one that is there stays.
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
        let observer: Arc<dyn Observer> = Arc::clone(&shadow) as _;
        let comparison = shadow.comparison();
        tracing::info!(
            digest = comparison.candidate.digest,
            "in shadow: {} decides on {share} of the mail, without effect",
            comparison.candidate
        );
        self.replace(Some(Current {
            file,
            settings,
            shadow,
            observer,
        }));
        Ok(comparison)
    }

    /// What the candidate has decided so far.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn comparison(&self) -> Result<Comparison, ShadowError> {
        match &*self.current() {
            Some(current) => Ok(current.shadow.comparison()),
            None => Err(ShadowError::None),
        }
    }

    /// Takes the candidate out of shadow, and tells what it has decided.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn stop(&self) -> Result<Comparison, ShadowError> {
        let _turn = self.turn.lock().await;
        self.end().ok_or(ShadowError::None)
    }

    /// Puts the candidate in service. It leaves the shadow when it is there.
    ///
    /// # Errors
    ///
    /// When there is none, when its files have changed since, or when they do
    /// not pass any more; unless forced, when it failed on more messages than the
    /// version in service. It stays in shadow then.
    pub async fn promote(
        &self,
        force: bool,
        now: Timestamp,
    ) -> Result<Arc<ActiveVersion>, ShadowError> {
        let _turn = self.turn.lock().await;
        let current = self.current().clone().ok_or(ShadowError::None)?;
        let comparison = current.shadow.comparison();
        let (failed, in_service) = (comparison.failed(), comparison.failed_in_service());
        if failed > in_service && !force {
            return Err(ShadowError::Fails {
                failed,
                in_service,
                of: comparison.compared,
            });
        }
        let inputs = current.shadow.candidate().inputs();
        let promoted = self
            .manager
            .promote(current.file, current.settings, inputs, now)
            .await
            .map_err(ShadowError::Refused)?;
        self.end();
        Ok(promoted)
    }

    fn end(&self) -> Option<Comparison> {
        let ended = self.replace(None)?;
        let comparison = ended.shadow.comparison();
        tracing::info!(
            digest = comparison.candidate.digest,
            compared = comparison.compared,
            different = comparison.different,
            skipped = comparison.skipped,
            "no longer in shadow: {}",
            comparison.candidate
        );
        Some(comparison)
    }

    fn replace(&self, next: Option<Current>) -> Option<Current> {
        let mut current = self.current();
        if let Some(next) = &next {
            self.service.observe(Arc::clone(&next.observer));
        }
        let old = mem::replace(&mut *current, next);
        if let Some(old) = &old {
            self.service.forget(&old.observer);
        }
        old
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
