//! The sandbox: the engine, limits and loader of policies.

use std::fmt;
use std::sync::Arc;

use super::deterministic_env::Seed;
use super::engine::{self, Code, RuntimeEngine};
use super::error::LoadError;
use super::limits::Limits;
use super::load::{CodeCache, Compiler, Loader};
use super::policy::{Host, Policy};

/// The engine and the limits that policies are loaded into. One serves a whole
/// process; cloning it is cheap.
#[derive(Clone)]
pub struct Sandbox {
    host: Arc<Host>,
    loader: Arc<Loader>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("limits", self.host.limits())
            .finish_non_exhaustive()
    }
}

/// Options of a [`Sandbox`]: made by [`Sandbox::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    limits: Limits,
    code: Code,
    cache: Option<CodeCache>,
    compiler: Option<Compiler>,
}

impl Builder {
    /// Reads compiled code from a cache, and writes new code to it.
    pub fn cache(mut self, cache: CodeCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Compiles in a separate process. If that process cannot be started, this
    /// one compiles and logs a warning.
    ///
    /// Loading then needs a tokio runtime with I/O enabled.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Optimizes for a few decisions: code that is not in the cache compiles in
    /// half the time and runs more slowly. Decisions and instruction counts are the
    /// same.
    ///
    /// A [read-only](CodeCache::read_only) cache is searched for optimized code,
    /// which a daemon writes there; a writable one holds the code of trials.
    pub fn for_trials(mut self) -> Self {
        self.code = Code::Quick;
        self
    }

    /// Creates the engines. This reserves address space for all instances, about
    /// 16 GiB for each concurrent decision; none of it is memory until it is used.
    ///
    /// # Errors
    ///
    /// When the kernel refuses that address space.
    pub fn build(self) -> Result<Sandbox, LoadError> {
        let serving = RuntimeEngine::serving(&self.limits, self.code)?;
        let fingerprint = engine::fingerprint(&serving.engine);
        let cache = match (self.cache, self.code) {
            (Some(cache), Code::Quick) if !cache.writes() => {
                let optimized = engine::compiler(Code::Optimized)?;
                Some((cache, engine::fingerprint(&optimized)))
            }
            (cache, _) => cache.map(|cache| (cache, fingerprint)),
        };
        let loader = Loader {
            cache,
            compiler: self.compiler,
            code: self.code,
            fingerprint,
            engine: serving.clone(),
            memory: self.limits.memory,
        };
        Ok(Sandbox {
            host: Arc::new(Host::new(serving, self.limits)),
            loader: Arc::new(loader),
        })
    }
}

impl Sandbox {
    /// Options of a sandbox; by default it compiles in this process and has no
    /// cache.
    pub fn builder(limits: Limits) -> Builder {
        Builder {
            limits,
            code: Code::Optimized,
            cache: None,
            compiler: None,
        }
    }

    /// A sandbox that compiles in this process and has no cache.
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

    /// Loads a component: compiles it, calls its `describe` and `configure`, and
    /// pre-initializes it with its settings. The random source of that setup is
    /// seeded from `secret`.
    ///
    /// Compiling takes a tenth of a second to several seconds on all cores and runs
    /// on a thread of its own. Code from the cache loads in milliseconds.
    ///
    /// # Errors
    ///
    /// When the bytes are not a component of a supported contract version, or the
    /// policy rejects its settings.
    pub async fn load(
        &self,
        component: Arc<[u8]>,
        settings: Arc<str>,
        secret: &Seed,
    ) -> Result<Policy, LoadError> {
        let loaded = self.loader.load(component, settings, secret).await?;
        Ok(Policy::new(loaded, Arc::clone(&self.host)))
    }
}
