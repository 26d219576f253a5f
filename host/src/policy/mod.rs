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
//!   back every few milliseconds; what it calls of the host does not, the
//!   longest of which is to look for the text in a large message.
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

mod bake;
mod contract;
mod engine;
mod error;
mod facts;
mod inspect;
mod limits;
mod link;
mod load;
mod run;
mod state;
mod trim;
mod wasi;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tokio::sync::Semaphore;
use wasmtime::component::{InstancePre, Resource};

use self::bindings::exports::waxseal::policy::{handler, setup};
use self::contract::v0_1_0::{bindings, convert, host};
use crate::decision::Decision;
use crate::message::Message;

use engine::Code;

pub use contract::CONTRACT_VERSIONS;
pub use engine::Limits;
pub use error::{LoadError, PolicyError, SettingsProblem};
pub use facts::{Facts, RecordedFacts, Recorder};
pub use inspect::{Baking, Import, Inspection, Standing, inspect};
pub use load::{Configured, Description, Reference, ReferenceKind};
pub use state::{LogLevel, LogLine, Seed};

/// The engines and limits that policies are loaded into. One serves a whole
/// process; cloning it is cheap.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    serving: engine::Machine,
    limits: Limits,
    /// An exhausted pool is an error and not a wait, so decisions wait here.
    turns: Semaphore,
}

impl Sandbox {
    /// Makes the engines. Address space for all slots is reserved here: about
    /// 16 GiB for each decision that may run at one time, none of it memory
    /// until it is used.
    ///
    /// # Errors
    ///
    /// When the kernel does not give that address space.
    pub fn new(limits: Limits) -> Result<Self, LoadError> {
        Self::with_code(limits, Code::Optimised)
    }

    /// A sandbox for a few decisions: policies load in half the time and decide
    /// more slowly. They decide the same in the same number of instructions.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::new`].
    pub fn for_trials(limits: Limits) -> Result<Self, LoadError> {
        Self::with_code(limits, Code::Quick)
    }

    fn with_code(limits: Limits, code: Code) -> Result<Self, LoadError> {
        let inner = Inner {
            serving: engine::Machine::serving(&limits, code)?,
            turns: Semaphore::new(limits.decisions as usize),
            limits,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Loads a component: compiles it, asks it to describe itself, gives it its
    /// settings and bakes them in. `secret` seeds the randomness that is baked
    /// in with the settings.
    ///
    /// Compiling takes a tenth of a second to several seconds of all cores: it
    /// is done on a thread of its own.
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
        let digest = digest(&SHA256, &component);
        let mut seed = *secret;
        seed.iter_mut()
            .zip(digest.as_ref())
            .for_each(|(byte, digest)| *byte ^= digest);
        let sandbox = self.clone();
        let given = Arc::clone(&settings);
        let runtime = tokio::runtime::Handle::current();
        let loading = tokio::task::spawn_blocking(move || {
            let serving = &sandbox.inner.serving;
            let memory = sandbox.inner.limits.memory;
            let loaded = runtime.block_on(load::load(serving, &component, &given, seed, memory));
            trim::give_back();
            loaded
        });
        let loaded = loading
            .await
            .map_err(|error| LoadError::Engine(error.to_string()))??;
        Ok(Policy {
            sandbox: self.clone(),
            digest: HEXLOWER.encode(digest.as_ref()),
            settings: (!loaded.baked).then_some(settings),
            description: loaded.description,
            configured: loaded.configured,
            setup: loaded.setup,
            handler: loaded.handler,
            pre: loaded.pre,
        })
    }
}

/// A policy that can be called: one version of a component with one version of
/// its settings.
pub struct Policy {
    sandbox: Sandbox,
    pre: InstancePre<state::State>,
    setup: setup::GuestIndices,
    handler: handler::GuestIndices,
    description: Description,
    configured: Configured,
    digest: String,
    /// Where the settings could not be baked in.
    settings: Option<Arc<str>>,
}

/// A decision, and what it took.
#[derive(Clone, Debug)]
pub struct Decided {
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
        &self.description
    }

    /// What came of reading its settings.
    pub fn configured(&self) -> &Configured {
        &self.configured
    }

    /// SHA-256 of the component's bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the settings were baked into the component. Where not, every
    /// decision pays for reading them.
    pub fn is_baked(&self) -> bool {
        self.settings.is_none()
    }

    /// Decides on a message with a fresh instance. The same message, facts and
    /// seed give the same decision.
    pub async fn decide(
        &self,
        message: Arc<Message>,
        facts: Arc<dyn Facts>,
        seed: Seed,
    ) -> Decided {
        let inner = &*self.sandbox.inner;
        let limits = &inner.limits;
        let bounds = run::Bounds {
            time: limits.time,
            instructions: limits.instructions,
            memory: limits.memory,
        };
        let moment = state::Moment {
            since_epoch: since_epoch(message.arrival),
            seed,
        };
        // The semaphore is never closed.
        let _turn = inner.turns.acquire().await;
        let subject = state::Subject { message, facts };
        let mut store = run::store(&inner.serving.engine, Some(subject), moment, &bounds);
        let outcome = run::within(bounds.time, self.call(&mut store)).await;
        let decision = match run::classify(outcome, &store, &bounds) {
            Ok(Ok(given)) => convert::decision(given),
            Ok(Err(text)) => Err(PolicyError::Reported(run::brief(&text))),
            Err(error) => Err(error),
        };
        let left = store.get_fuel().unwrap_or(0);
        let state = store.into_data();
        Decided {
            decision,
            instructions: bounds.instructions.saturating_sub(left),
            memory: state.memory.in_use(),
            log: state.into_log(),
        }
    }

    async fn call(
        &self,
        store: &mut wasmtime::Store<state::State>,
    ) -> wasmtime::Result<Result<bindings::waxseal::policy::types::Decision, String>> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        if let Some(settings) = &self.settings {
            let setup = self.setup.load(&mut *store, &instance)?;
            if setup.call_configure(&mut *store, settings).await?.is_err() {
                let text = "the settings were taken once, and now are not".to_owned();
                return Ok(Err(text));
            }
        }
        // The handler alone: looking up an interface compares all its types, and
        // most decisions call nothing of the other one.
        let handler = self.handler.load(&mut *store, &instance)?;
        let message = Resource::new_borrow(host::HANDLE);
        let facts = Resource::new_borrow(host::HANDLE);
        handler.call_decide(&mut *store, message, facts).await
    }
}

fn since_epoch(arrival: jiff::Timestamp) -> Duration {
    Duration::from_secs(arrival.as_second().max(0).unsigned_abs())
}
