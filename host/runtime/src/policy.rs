//! A loaded policy: it decides on messages, each in a fresh instance.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;
use wasmtime::Store;

use super::call::{self, CallLimits};
use super::describe::{Configured, Description};
use super::deterministic_env::{DeterministicEnv, Seed};
use super::engine::RuntimeEngine;
use super::error::PolicyError;
use super::facts::Facts;
use super::limits::Limits;
use super::linked::LinkedPolicy;
use super::load::LoadedComponent;
use super::log::LogLine;
use super::state::{DecisionInput, HostWork, State};
use waxseal_core::decision::Decision;
use waxseal_core::message::Message;
use waxseal_core::work;
use waxseal_system::pool::{self, LowPriorityExecutor};

/// State that all policies of a sandbox share.
pub(super) struct Host {
    engine: RuntimeEngine,
    limits: Limits,
    /// An exhausted pool of instances is an error and does not wait, so decisions
    /// wait here.
    permits: Semaphore,
    low_priority: LowPriorityExecutor,
}

impl Host {
    pub(super) fn new(engine: RuntimeEngine, limits: Limits) -> Self {
        Self {
            engine,
            permits: Semaphore::new(limits.decisions as usize),
            low_priority: LowPriorityExecutor::default(),
            limits,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// A policy that can be called: one version of a component with one version of
/// its settings. Cloning it is cheap.
#[derive(Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

struct Inner {
    loaded: LoadedComponent,
    host: Arc<Host>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.description().name)
            .field("version", &self.description().version)
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

/// A decision, or the error, and the resources it used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The decision.
    pub decision: Result<Decision, PolicyError>,
    /// Lines that the policy logged, panic text included.
    pub log: Vec<LogLine>,
    /// Instructions executed (fuel).
    pub instructions: u64,
    /// Bytes of linear memory at the end.
    pub memory: usize,
}

impl Policy {
    pub(super) fn new(loaded: LoadedComponent, host: Arc<Host>) -> Self {
        Self {
            inner: Arc::new(Inner { loaded, host }),
        }
    }

    /// Name, version and settings schema, as the policy's `describe` returned them.
    pub fn description(&self) -> &Description {
        &self.inner.loaded.description
    }

    /// References and warnings that the policy's `configure` returned.
    pub fn configured(&self) -> &Configured {
        &self.inner.loaded.configured
    }

    /// SHA-256 of the component's bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.inner.loaded.digest
    }

    /// Whether the settings were pre-initialized into the component. If not, each decision
    /// reads them again.
    pub fn is_preinitialized(&self) -> bool {
        self.inner.loaded.settings.is_none()
    }

    /// Decides on a message with a fresh instance. The same message, facts and
    /// seed give the same decision.
    ///
    /// Needs a tokio runtime with time enabled. A decision of more than a million
    /// instructions continues on threads of the sandbox.
    pub async fn decide(
        &self,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
        seed: Seed,
    ) -> Evaluation {
        let permit = DecisionPermit::acquire(&self.inner).await;
        let input = DecisionInput { message, facts };
        let canceled = pool::bounds().canceled;
        let decision = permit.decide(input, seed, canceled);
        self.inner.host.low_priority.run(Box::pin(decision)).await
    }

    /// As [`Policy::decide`], for a decision that no client waits for: all of it
    /// runs on the low-priority threads.
    pub async fn decide_low_priority(
        &self,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
        seed: Seed,
    ) -> Evaluation {
        let permit = DecisionPermit::acquire(&self.inner).await;
        let input = DecisionInput { message, facts };
        let decision = permit.decide(input, seed, None);
        let low_priority = &self.inner.host.low_priority;
        low_priority.run_low_priority(Box::pin(decision)).await
    }
}

/// Permission to use one instance, with everything that a decision needs: it may end on
/// another thread than it began on, and after the caller was dropped.
struct DecisionPermit(Arc<Inner>);

impl DecisionPermit {
    async fn acquire(policy: &Arc<Inner>) -> Self {
        // The semaphore is never closed.
        if let Ok(permit) = policy.host.permits.acquire().await {
            permit.forget();
        }
        Self(Arc::clone(policy))
    }

    /// Decides; a second time if the first attempt needed too much work by the host
    /// on the caller's thread. A decision is pure, so it can be repeated.
    async fn decide(
        self,
        input: DecisionInput,
        seed: Seed,
        canceled: Option<Arc<AtomicBool>>,
    ) -> Evaluation {
        let deadline = Instant::now() + self.0.host.limits.time;
        let bounds = work::Bounds {
            steps: None,
            deadline: Some(deadline),
            canceled,
        };
        let short = HostWork::short(bounds.clone());
        let (evaluation, too_long) = self.attempt(input.clone(), seed, short).await;
        if !too_long {
            return evaluation;
        }
        // After this, the low-priority threads continue.
        yield_now().await;
        let unlimited = HostWork::unlimited(bounds);
        self.attempt(input, seed, unlimited).await.0
    }

    /// Decides once. The flag is true if the decision must be repeated where the
    /// host's work may take longer.
    async fn attempt(
        &self,
        input: DecisionInput,
        seed: Seed,
        host_work: HostWork,
    ) -> (Evaluation, bool) {
        let Inner { loaded, host } = &*self.0;
        let limits = CallLimits {
            time: host.limits.time,
            instructions: host.limits.instructions,
            memory: host.limits.memory,
        };
        let env = DeterministicEnv {
            since_epoch: since_epoch(input.message.arrival),
            seed,
        };
        let mut store = call::store(&host.engine.engine, Some(input), env, &limits);
        store.data_mut().host = host_work;
        let outcome = call::within(limits.time, decide(loaded, &mut store)).await;
        let decision = call::classify(outcome, &store, &limits).flatten();
        let too_long = store.data().host.is_too_long();
        let left = store.get_fuel().unwrap_or(0);
        let state = store.into_data();
        let evaluation = Evaluation {
            decision,
            instructions: limits.instructions.saturating_sub(left),
            memory: state.memory.in_use(),
            log: state.into_log(),
        };
        (evaluation, too_long)
    }
}

impl Drop for DecisionPermit {
    fn drop(&mut self) {
        self.0.host.permits.add_permits(1);
    }
}

/// Calls `decide` in a new instance, after `configure` if the settings could not be
/// pre-initialized.
async fn decide(
    loaded: &LoadedComponent,
    store: &mut Store<State>,
) -> wasmtime::Result<Result<Decision, PolicyError>> {
    let LinkedPolicy { pre, exports } = &loaded.linked;
    let instance = pre.instantiate_async(&mut *store).await?;
    if let Some(settings) = &loaded.settings
        && exports
            .configure(&mut *store, &instance, settings)
            .await?
            .is_err()
    {
        let text = "`configure` accepted the settings at load and now rejects them".to_owned();
        return Ok(Err(PolicyError::Reported(text)));
    }
    exports.decide(&mut *store, &instance).await
}

fn since_epoch(arrival: jiff::Timestamp) -> Duration {
    Duration::from_secs(arrival.as_second().max(0).unsigned_abs())
}
