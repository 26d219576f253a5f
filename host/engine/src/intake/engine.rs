//! An engine for embedding: everything between a configuration and an intake.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::Mutex;

use super::live::Intake;
use crate::config::{Config, Problem};
use crate::crypto::{Secret, SecretError};
use crate::pipeline::{BuildError, BuildReport, DerivedKeys, PolicySnapshot, PolicySource};
use crate::quota::{Day, LeasedLedger, Ledger, LedgerError};
use crate::rollout::{ActivationReason, PolicyService, VersionHistory};
use crate::state::{State, StateError};
use waxseal_runtime::{Limits, LoadError, Sandbox};

/// A policy, its state and its intake, for a program that embeds Waxseal.
///
/// One engine per process and state folder. Unlike the daemon it watches no
/// files and persists no rollback: the program reloads it.
pub struct Engine {
    intake: Intake,
    ledger: Arc<LeasedLedger>,
    sandbox: Sandbox,
    keys: Arc<DerivedKeys>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// Builds an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    config: Config,
    policy: Option<PolicySource>,
    sandbox: Option<Sandbox>,
    state: Option<State>,
}

/// Why an engine could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The secret of the state folder.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// No state was given, and there is no backend to open one with.
    #[error("no state: this program needs the feature `sqlite`, or a store of its own")]
    NoState,
    /// The counters.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] LoadError),
    /// The policy, its settings, or what the configuration names.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Loads this policy instead of the files that the configuration names.
    pub fn policy(mut self, source: PolicySource) -> Self {
        self.policy = Some(source);
        self
    }

    /// Runs policies in this sandbox, with limits of the program's own. By default
    /// a sandbox is made from `[limits]` of the configuration.
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// Keeps counters in this state. By default it is opened in the folder that the
    /// configuration names (feature `sqlite`).
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Opens the state and loads the policy.
    ///
    /// # Errors
    ///
    /// When the state cannot be used, or with all problems of the policy and the
    /// configuration at once.
    pub async fn build(self) -> Result<Engine, EngineError> {
        let Self {
            config,
            policy,
            sandbox,
            state,
        } = self;
        let now = Timestamp::now();
        let day = Day::of(now, &config.time_zone);
        let keys = Arc::new(DerivedKeys::new(&Secret::open(&config.state)?));
        let state = match state {
            Some(state) => state,
            None => default_state(&config)?,
        };
        let counters = Arc::clone(state.counters());
        let ledger = LeasedLedger::open(counters, &day, config.limits.new_counters)?;
        let ledger = Arc::new(ledger);
        let sandbox = match sandbox {
            Some(sandbox) => sandbox,
            None => Sandbox::new(Limits::from(&config.limits))?,
        };
        let snapshot = snapshot(&sandbox, config, policy, &keys, &day).await?;
        let versions = Arc::new(VersionHistory::new(snapshot, now));
        let service = PolicyService::new(Arc::clone(&ledger) as Arc<dyn Ledger>, versions);
        Ok(Engine {
            intake: Intake::new(Arc::new(service)),
            ledger,
            sandbox,
            keys,
            reloading: Mutex::default(),
        })
    }
}

impl Engine {
    /// An engine of this configuration.
    pub fn builder(config: Config) -> EngineBuilder {
        EngineBuilder {
            config,
            policy: None,
            sandbox: None,
            state: None,
        }
    }

    /// Where messages are classified and processed.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Loads the policy that the configuration names, and activates it in one
    /// step together with the configuration and its keys. Messages in flight
    /// finish on the version that they began with. Returns the number of the new
    /// version.
    ///
    /// # Errors
    ///
    /// All problems at once; the active version is unchanged then.
    pub async fn reload(&self, config: Config) -> Result<u64, BuildError> {
        self.activate(config, None).await
    }

    /// As [`reload`](Self::reload), with a policy of the program's.
    ///
    /// # Errors
    ///
    /// All problems at once; the active version is unchanged then.
    pub async fn reload_policy(
        &self,
        config: Config,
        source: PolicySource,
    ) -> Result<u64, BuildError> {
        self.activate(config, Some(source)).await
    }

    async fn activate(
        &self,
        config: Config,
        policy: Option<PolicySource>,
    ) -> Result<u64, BuildError> {
        let _one_at_a_time = self.reloading.lock().await;
        let now = Timestamp::now();
        let day = Day::of(now, &config.time_zone);
        let snapshot = snapshot(&self.sandbox, config, policy, &self.keys, &day).await?;
        let versions = self.intake.service().versions();
        let version = versions.activate(snapshot, ActivationReason::Reload, now);
        Ok(version.number())
    }

    /// Returns units of today's limits that were leased and not used. Nothing can
    /// be charged afterwards.
    ///
    /// # Errors
    ///
    /// When the state cannot be written: unused units stay leased then.
    pub async fn close(&self) -> Result<(), Arc<StateError>> {
        self.ledger.close().await
    }
}

#[cfg(feature = "sqlite")]
fn default_state(config: &Config) -> Result<State, EngineError> {
    Ok(crate::state::open(&config.into())?)
}

#[cfg(not(feature = "sqlite"))]
fn default_state(_: &Config) -> Result<State, EngineError> {
    Err(EngineError::NoState)
}

async fn snapshot(
    sandbox: &Sandbox,
    config: Config,
    policy: Option<PolicySource>,
    keys: &Arc<DerivedKeys>,
    day: &Day,
) -> Result<Arc<PolicySnapshot>, BuildError> {
    let keys = Arc::clone(keys);
    let built = match policy {
        Some(source) => {
            PolicySnapshot::from_source(sandbox, config, source, keys, day.date()).await
        }
        None => PolicySnapshot::build(sandbox, config, keys, day.date()).await,
    };
    let BuildReport { snapshot, warnings } = built?;
    let log = |warning: &Problem| tracing::warn!("{warning}");
    warnings.iter().for_each(log);
    Ok(snapshot)
}
