//! The calls that happen once per load: `describe` and `configure`.

use std::time::Duration;

use wasmtime::component::Instance;
use wasmtime::{Engine, Store};

use super::call::{self, CallLimits};
use super::describe::{Configured, Description};
use super::deterministic_env::{DeterministicEnv, Seed};
use super::error::{LoadError, PolicyError, SetupCall};
use super::limits;
use super::linked::LinkedPolicy;
use super::state::State;

/// What the setup calls of one load share.
pub(super) struct Setup<'a> {
    pub(super) engine: &'a Engine,
    pub(super) seed: Seed,
    /// Bytes of linear memory that the policy may use.
    pub(super) memory: usize,
}

impl Setup<'_> {
    /// A store without a message.
    fn store(&self) -> Store<State> {
        let env = DeterministicEnv {
            since_epoch: Duration::ZERO,
            seed: self.seed,
        };
        call::store(self.engine, None, env, &CallLimits::setup(self.memory))
    }

    /// Calls `describe` in an instance of its own.
    ///
    /// # Errors
    ///
    /// When the call fails.
    pub(super) async fn describe(&self, policy: &LinkedPolicy) -> Result<Description, LoadError> {
        let mut store = self.store();
        let outcome = call::within(limits::SETUP_TIME, async {
            let instance = policy.pre.instantiate_async(&mut store).await?;
            policy.exports.describe(&mut store, &instance).await
        })
        .await;
        call::classify(outcome, &store, &CallLimits::setup(self.memory))
            .map_err(|error| failed(SetupCall::Describe, error))
    }

    /// Calls `configure`, and returns the instance for its snapshot.
    ///
    /// # Errors
    ///
    /// When the call fails, or the policy rejects the settings.
    pub(super) async fn configure(
        &self,
        policy: &LinkedPolicy,
        settings: &str,
    ) -> Result<(Store<State>, Instance, Configured), LoadError> {
        let mut store = self.store();
        let outcome = call::within(limits::SETUP_TIME, async {
            let instance = policy.pre.instantiate_async(&mut store).await?;
            let exports = &policy.exports;
            let answer = exports.configure(&mut store, &instance, settings).await?;
            Ok((instance, answer))
        })
        .await;
        let (instance, answer) = call::classify(outcome, &store, &CallLimits::setup(self.memory))
            .map_err(|error| failed(SetupCall::Configure, error))?;
        match answer {
            Ok(configured) => Ok((store, instance, configured)),
            Err(problems) => Err(LoadError::Settings(problems)),
        }
    }
}

fn failed(call: SetupCall, error: PolicyError) -> LoadError {
    LoadError::Setup { call, error }
}
