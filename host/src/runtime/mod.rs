//! Policies as WebAssembly components: loading them, and calling them in a
//! sandbox.
//!
//! A component is described, configured and compiled once ([`Sandbox::load`]);
//! where it can be, its settings are baked into it. Then it decides on messages
//! ([`Policy::decide`]), any number at one time. What holds of every decision,
//! whatever the component does:
//!
//! - **It sees its message, its facts and its settings**, and nothing else. The
//!   WASI it gets is empty: no arguments, environment, folders or network; a
//!   clock that stands at the message's arrival, to the second; randomness from
//!   a seed for the message. Calling anything beyond that is
//!   [`PolicyError::ImportDenied`].
//! - **It begins afresh**: an instance of its own for each message, in memory
//!   that nothing of another message is in.
//! - **It ends**, within the limits below, and gives back all that it had. So
//!   does one whose future is dropped.
//! - **It repeats**: the same message, facts and seed give the same decision in
//!   the same number of instructions, unless the wall clock stops it.
//! - **It costs nobody else a decision**. A guest that computes gives its thread
//!   back after a million instructions, and is finished on threads that stand
//!   behind all others; one that has the host work on the message for more than a
//!   millisecond or two is decided again there. The host's work counts as the
//!   decision's time.
//!
//! | limit | set by | error |
//! | --- | --- | --- |
//! | wall clock | [`Limits::time`] | [`PolicyError::TimedOut`] |
//! | instructions | [`Limits::instructions`] | [`PolicyError::OutOfInstructions`] |
//! | linear memory, all together | [`Limits::memory`] | [`PolicyError::OutOfMemory`] |
//! | bytes given to the host in one call | 1 MiB | [`PolicyError::TooMuchData`] |
//! | bytes taken from the host | 16 MiB | [`PolicyError::TooMuchData`] |
//! | handles at one time | 64 | [`PolicyError::TooMuchData`] |
//! | stack | 512 KiB | [`PolicyError::Trapped`] |
//! | log | 64 lines, 16 KiB | none: the rest is dropped |
//!
//! Waiting for a turn ([`Limits::decisions`]) is not counted as time. Reading
//! settings has limits of its own, wide ones: it happens once, and not while a
//! client waits.

mod cache;
mod compile;
mod compiler;
mod contract;
mod describe;
mod engine;
mod error;
mod facts;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod limits;
mod link;
mod load;
mod preinit;
mod run;
mod state;
mod strip_setup;
mod trace;
mod trim;
mod wasi;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

use crate::decision::Decision;
use crate::message::Message;
use crate::pool::{self, LowPriorityExecutor};
use crate::work;

use compile::LinkedPolicy;
use engine::{Code, RuntimeEngine};
use load::Sources;
use state::{DecisionInput, HostWork};

pub use cache::{CODE_FOLDER, CodeCache};
pub use compiler::{Compiler, WorkerError, run_compile_worker};
pub use contract::CONTRACT_VERSIONS;
pub use describe::{Configured, Description, Reference, ReferenceKind};
pub use engine::Limits;
pub use error::{LoadError, PolicyError, SettingsProblem, SetupCall};
pub use facts::{Facts, StaticFacts};
pub use inspect::{Import, ImportAccess, Inspection, Preinit, inspect};
pub use state::{LogLevel, LogLine, Seed};
pub use trace::{FactQuery, FactTrace, RecordingFacts, ReplayedFacts};

/// The engines and limits that policies are loaded into. One serves a whole
/// process; cloning it is cheap.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    serving: RuntimeEngine,
    limits: Limits,
    sources: Sources,
    /// An exhausted pool is an error and not a wait, so decisions wait here.
    turns: Semaphore,
    low_priority: LowPriorityExecutor,
}

/// A sandbox in the making: [`Sandbox::builder`].
pub struct Builder {
    limits: Limits,
    code: Code,
    cache: Option<CodeCache>,
    compiler: Option<Compiler>,
}

impl Builder {
    /// Code is taken from there, and kept there once it is compiled.
    #[must_use]
    pub fn cache(mut self, cache: CodeCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Code is compiled by another process. Where that cannot be started, this
    /// one compiles, and says so in the log.
    ///
    /// Loading then takes a tokio runtime with I/O enabled.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// For a few decisions: what is not in the cache loads in half the time and
    /// decides more slowly. It decides the same in the same number of
    /// instructions.
    ///
    /// A cache that is [read only](CodeCache::read_only) is somebody else's, and
    /// looked into for the better code that a daemon keeps there; one that is
    /// not keeps the code of trials.
    #[must_use]
    pub fn for_trials(mut self) -> Self {
        self.code = Code::Quick;
        self
    }

    /// Makes the engines. Address space for all slots is reserved here: about
    /// 16 GiB for each decision that may run at one time, none of it memory
    /// until it is used.
    ///
    /// # Errors
    ///
    /// When the kernel does not give that address space.
    pub fn build(self) -> Result<Sandbox, LoadError> {
        let serving = RuntimeEngine::serving(&self.limits, self.code)?;
        let fingerprint = engine::fingerprint(&serving.engine);
        let cache = match (self.cache, self.code) {
            (Some(cache), Code::Quick) if !cache.writes() => {
                let optimised = engine::compiler(Code::Optimised)?;
                Some((cache, engine::fingerprint(&optimised)))
            }
            (cache, _) => cache.map(|cache| (cache, fingerprint)),
        };
        let inner = Inner {
            serving,
            sources: Sources {
                cache,
                compiler: self.compiler,
                code: self.code,
                fingerprint,
            },
            turns: Semaphore::new(self.limits.decisions as usize),
            low_priority: LowPriorityExecutor::default(),
            limits: self.limits,
        };
        Ok(Sandbox {
            inner: Arc::new(inner),
        })
    }
}

impl Sandbox {
    /// Begins to make a sandbox that compiles in this process and has no cache.
    pub fn builder(limits: Limits) -> Builder {
        Builder {
            limits,
            code: Code::Optimised,
            cache: None,
            compiler: None,
        }
    }

    /// One that compiles in this process and has no cache.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new(limits: Limits) -> Result<Self, LoadError> {
        Self::builder(limits).build()
    }

    /// The same for a few decisions: [`Builder::for_trials`].
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn for_trials(limits: Limits) -> Result<Self, LoadError> {
        Self::builder(limits).for_trials().build()
    }

    /// Loads a component: compiles it, asks it to describe itself, gives it its
    /// settings and bakes them in. `secret` seeds the randomness that is baked
    /// in with the settings.
    ///
    /// Compiling takes a tenth of a second to several seconds of all cores: it
    /// is done on a thread of its own. What is in the cache is loaded in some
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// When the bytes are no component of our world, or the policy does not take
    /// its settings.
    pub async fn load(
        &self,
        component: Arc<[u8]>,
        settings: Arc<str>,
        secret: &Seed,
    ) -> Result<Policy, LoadError> {
        load::load(self, component, settings, *secret).await
    }
}

/// A policy that can be called: one version of a component with one version of
/// its settings. Cloning it is cheap.
#[derive(Clone)]
pub struct Policy {
    loaded: Arc<Loaded>,
}

struct Loaded {
    sandbox: Sandbox,
    world: LinkedPolicy,
    description: Description,
    configured: Configured,
    digest: String,
    /// Where the settings could not be baked in.
    settings: Option<Arc<str>>,
}

/// A decision, and what it took.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The decision, or why there is none.
    pub decision: Result<Decision, PolicyError>,
    /// What the policy wrote to its log, panic text included.
    pub log: Vec<LogLine>,
    /// Instructions executed (fuel).
    pub instructions: u64,
    /// Bytes of linear memory at the end.
    pub memory: usize,
}

impl Policy {
    /// What the policy says about itself.
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// What came of reading its settings.
    pub fn configured(&self) -> &Configured {
        &self.loaded.configured
    }

    /// SHA-256 of the component's bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// Whether the settings were baked into the component. Where not, every
    /// decision pays for reading them.
    pub fn is_preinitialized(&self) -> bool {
        self.loaded.settings.is_none()
    }

    /// Decides on a message with a fresh instance. The same message, facts and
    /// seed give the same decision.
    ///
    /// Takes a tokio runtime with time enabled. A decision of more than a million
    /// instructions is finished on threads of the sandbox's.
    pub async fn decide(
        &self,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
        seed: Seed,
    ) -> Evaluation {
        let turn = DecisionPermit::wait(&self.loaded).await;
        let subject = DecisionInput { message, facts };
        let canceled = pool::bounds().canceled;
        let low_priority = &self.loaded.sandbox.inner.low_priority;
        let decided = turn.decide(subject, seed, canceled);
        low_priority.run(Box::pin(decided)).await
    }

    /// As [`Policy::decide`], for a decision that no client waits for: all of it
    /// is done on the threads that stand behind everything else.
    pub async fn decide_low_priority(
        &self,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
        seed: Seed,
    ) -> Evaluation {
        let turn = DecisionPermit::wait(&self.loaded).await;
        let subject = DecisionInput { message, facts };
        let low_priority = &self.loaded.sandbox.inner.low_priority;
        let decided = turn.decide(subject, seed, None);
        low_priority.run_low_priority(Box::pin(decided)).await
    }
}

/// A turn of a policy's, with all that deciding takes: it may end on another
/// thread than it began on, and after whoever asked has gone.
struct DecisionPermit(Arc<Loaded>);

impl DecisionPermit {
    async fn wait(loaded: &Arc<Loaded>) -> Self {
        // The semaphore is never closed.
        if let Ok(turn) = loaded.sandbox.inner.turns.acquire().await {
            turn.forget();
        }
        Self(Arc::clone(loaded))
    }

    /// Decides, a second time where the first had the host do too much work on
    /// the thread of whoever asked: a decision is pure.
    async fn decide(
        self,
        subject: DecisionInput,
        seed: Seed,
        canceled: Option<Arc<AtomicBool>>,
    ) -> Evaluation {
        let deadline = Instant::now() + self.0.sandbox.inner.limits.time;
        let bounds = work::Bounds {
            steps: None,
            deadline: Some(deadline),
            canceled,
        };
        let short = HostWork::short(bounds.clone());
        let (decided, too_long) = self.attempt(subject.clone(), seed, short).await;
        if !too_long {
            return decided;
        }
        // From here on it is done by the low-priority threads.
        yield_now().await;
        let whole = HostWork::whole(bounds);
        self.attempt(subject, seed, whole).await.0
    }

    /// Decides once, and tells whether that has to be begun again where the
    /// host's work may take longer.
    async fn attempt(
        &self,
        subject: DecisionInput,
        seed: Seed,
        host: HostWork,
    ) -> (Evaluation, bool) {
        let inner = &*self.0.sandbox.inner;
        let limits = &inner.limits;
        let bounds = run::CallLimits {
            time: limits.time,
            instructions: limits.instructions,
            memory: limits.memory,
        };
        let moment = state::DeterministicEnv {
            since_epoch: since_epoch(subject.message.arrival),
            seed,
        };
        let mut store = run::store(&inner.serving.engine, Some(subject), moment, &bounds);
        store.data_mut().host = host;
        let outcome = run::within(bounds.time, self.0.call(&mut store)).await;
        let decision = run::classify(outcome, &store, &bounds).flatten();
        let too_long = store.data().host.is_too_long();
        let left = store.get_fuel().unwrap_or(0);
        let state = store.into_data();
        let decided = Evaluation {
            decision,
            instructions: bounds.instructions.saturating_sub(left),
            memory: state.memory.in_use(),
            log: state.into_log(),
        };
        (decided, too_long)
    }
}

impl Drop for DecisionPermit {
    fn drop(&mut self) {
        self.0.sandbox.inner.turns.add_permits(1);
    }
}

impl Loaded {
    async fn call(
        &self,
        store: &mut wasmtime::Store<state::State>,
    ) -> wasmtime::Result<Result<Decision, PolicyError>> {
        let LinkedPolicy { pre, exports } = &self.world;
        let instance = pre.instantiate_async(&mut *store).await?;
        if let Some(settings) = &self.settings {
            let again = exports.configure_again(&mut *store, &instance, settings);
            if !again.await? {
                let text = "the settings were taken once, and now are not".to_owned();
                return Ok(Err(PolicyError::Reported(text)));
            }
        }
        exports.decide(&mut *store, &instance).await
    }
}

fn since_epoch(arrival: jiff::Timestamp) -> Duration {
    Duration::from_secs(arrival.as_second().max(0).unsigned_abs())
}
