//! From the bytes of a component to a policy that can be called: by the cache
//! where its code is there, else by compiling it.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use wasmtime::component::Component;

use super::cache::{CodeCache, Name};
use super::compile::{self, CompileRequest, Compiled, LinkedPolicy};
use super::compiler::{CompileFailure, Compiler};
use super::engine::{Code, Fingerprint, RuntimeEngine};
use super::error::LoadError;
use super::state::Seed;
use super::{Loaded, Policy, Sandbox, link, trim};

/// How a sandbox comes by code.
pub(super) struct Sources {
    /// The cache, and for which code it is looked into.
    pub(super) cache: Option<(CodeCache, Fingerprint)>,
    /// Who compiles, where it is not this process.
    pub(super) compiler: Option<Compiler>,
    /// What is compiled, and for which engine.
    pub(super) code: Code,
    pub(super) fingerprint: Fingerprint,
}

/// Loads a policy. What takes time is done on threads of its own.
pub(super) async fn load(
    sandbox: &Sandbox,
    component: Arc<[u8]>,
    settings: Arc<str>,
    secret: Seed,
) -> Result<Policy, LoadError> {
    let memory = sandbox.inner.limits.memory;
    let (request, sha256, found) = blocking({
        let sandbox = sandbox.clone();
        move || {
            let (request, sha256) = CompileRequest::new(component, settings, &secret, memory);
            let found = cached(&sandbox, &request, &sha256);
            Ok((request, sha256, found))
        }
    })
    .await?;
    let (compiled, placed) = match found {
        Some(found) => found,
        None => {
            let compiled = compiled(sandbox, &request).await?;
            store_artifact(sandbox, &request, sha256, compiled).await?
        }
    };
    if let Some(why) = &compiled.not_preinitialized {
        tracing::warn!(
            policy = compiled.description.name,
            why,
            "the settings cannot be baked in: the policy reads them for each message, which is slower"
        );
    }
    let loaded = Loaded {
        sandbox: sandbox.clone(),
        digest: HEXLOWER.encode(&sha256),
        settings: compiled.not_preinitialized.map(|_| request.settings),
        description: compiled.description,
        configured: compiled.configured,
        world: placed,
    };
    Ok(Policy {
        loaded: Arc::new(loaded),
    })
}

type Found = (Compiled, LinkedPolicy);

fn cached(sandbox: &Sandbox, request: &CompileRequest, sha256: &[u8; 32]) -> Option<Found> {
    let (cache, fingerprint) = sandbox.inner.sources.cache.as_ref()?;
    let compiled = cache.get(&Name::new(request, sha256, fingerprint))?;
    match instantiate(&sandbox.inner.serving, &compiled) {
        Ok(placed) => Some((compiled, placed)),
        Err(error) => {
            tracing::warn!("compiled code is not used, and made anew: {error}");
            None
        }
    }
}

async fn compiled(sandbox: &Sandbox, request: &CompileRequest) -> Result<Compiled, LoadError> {
    let sources = &sandbox.inner.sources;
    if let Some(compiler) = &sources.compiler {
        match compiler
            .compile(request, sources.code, &sources.fingerprint)
            .await
        {
            Ok(compiled) => return Ok(compiled),
            Err(CompileFailure::Refused(error)) => return Err(error),
            Err(CompileFailure::NotStarted(why)) => {
                tracing::warn!("the policy is compiled beside the mail, which slows it: {why}");
            }
        }
    }
    let runtime = tokio::runtime::Handle::current();
    let (sandbox, request) = (sandbox.clone(), request.clone());
    blocking(move || {
        let engine = &sandbox.inner.serving.engine;
        let compiled = runtime.block_on(compile::compile(engine, &request));
        trim::give_back();
        compiled
    })
    .await
}

/// Puts code in its place, and keeps it for the next time.
async fn store_artifact(
    sandbox: &Sandbox,
    request: &CompileRequest,
    sha256: [u8; 32],
    compiled: Compiled,
) -> Result<Found, LoadError> {
    let (sandbox, request) = (sandbox.clone(), request.clone());
    blocking(move || {
        let placed = instantiate(&sandbox.inner.serving, &compiled)?;
        if let Some((cache, fingerprint)) = &sandbox.inner.sources.cache {
            cache.put(&Name::new(&request, &sha256, fingerprint), &compiled);
        }
        Ok((compiled, placed))
    })
    .await
}

/// Takes the code of a compiled component over into an engine.
fn instantiate(machine: &RuntimeEngine, compiled: &Compiled) -> Result<LinkedPolicy, LoadError> {
    let engine = &machine.engine;
    // SAFETY: these bytes are what `Engine::precompile_component` gave, unaltered,
    // as `deserialize` demands. They come from `compile` in this process; or from
    // a process that runs the program we were told to compile with; or from an
    // entry of the cache, whose HMAC by a key that nobody else has was found
    // right on this very copy. No policy's file gets here: those are compiled.
    let component = unsafe { Component::deserialize(engine, &compiled.code) }
        .map_err(|error| LoadError::DoesNotFit(format!("{error:#}")))?;
    let linker = link::for_component(&machine.linker, engine, &component)?;
    compile::world(&linker, &component)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Engine(error.to_string()))?
}
