//! The loader: finds compiled code in the cache or has it compiled, and links it.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use wasmtime::component::Component;

use super::cache::{CodeCache, EntryName};
use super::compile::{self, CompileRequest, Compiled};
use super::compiler::{CompileFailure, Compiler};
use crate::describe::{Configured, Description};
use crate::deterministic_env::Seed;
use crate::engine::{Code, Fingerprint, RuntimeEngine};
use crate::error::LoadError;
use crate::linked::LinkedPolicy;

/// A component that is ready to decide.
pub(crate) struct LoadedComponent {
    pub(crate) linked: LinkedPolicy,
    pub(crate) description: Description,
    pub(crate) configured: Configured,
    /// SHA-256 of the component's bytes, in hexadecimal.
    pub(crate) digest: String,
    /// The settings, if they could not be pre-initialized.
    pub(crate) settings: Option<Arc<str>>,
}

/// Where compiled code comes from, and the engine it runs on.
#[derive(Clone)]
pub(crate) struct Loader {
    /// The cache, and the fingerprint of the code that is searched for in it.
    pub(crate) cache: Option<(CodeCache, Fingerprint)>,
    /// The program that compiles, if that is not this process.
    pub(crate) compiler: Option<Compiler>,
    /// The optimization of code that is compiled now, and its fingerprint.
    pub(crate) code: Code,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) engine: RuntimeEngine,
    /// Bytes of linear memory that a policy may use.
    pub(crate) memory: usize,
}

type Found = (Compiled, LinkedPolicy);

impl Loader {
    /// Loads a component. Long work runs on threads of its own.
    pub(crate) async fn load(
        &self,
        component: Arc<[u8]>,
        settings: Arc<str>,
        secret: &Seed,
    ) -> Result<LoadedComponent, LoadError> {
        let (request, sha256, found) = blocking({
            let (loader, secret) = (self.clone(), *secret);
            move || {
                let (request, sha256) =
                    CompileRequest::new(component, settings, &secret, loader.memory);
                let found = loader.cached(&request, &sha256);
                Ok((request, sha256, found))
            }
        })
        .await?;
        let (compiled, linked) = match found {
            Some(found) => found,
            None => {
                let compiled = self.compile(&request).await?;
                self.store_artifact(&request, sha256, compiled).await?
            }
        };
        if let Some(reason) = &compiled.not_preinitialized {
            tracing::warn!(
                policy = compiled.description.name,
                reason,
                "cannot pre-initialize the policy with its settings: it reads them for each \
                 message, which is slower"
            );
        }
        Ok(LoadedComponent {
            linked,
            digest: HEXLOWER.encode(&sha256),
            settings: compiled.not_preinitialized.map(|_| request.settings),
            description: compiled.description,
            configured: compiled.configured,
        })
    }

    fn cached(&self, request: &CompileRequest, sha256: &[u8; 32]) -> Option<Found> {
        let (cache, fingerprint) = self.cache.as_ref()?;
        let compiled = cache.get(&EntryName::new(request, sha256, fingerprint))?;
        match self.instantiate(&compiled) {
            Ok(linked) => Some((compiled, linked)),
            Err(error) => {
                tracing::warn!("cannot use cached code, compiling again: {error}");
                None
            }
        }
    }

    async fn compile(&self, request: &CompileRequest) -> Result<Compiled, LoadError> {
        if let Some(compiler) = &self.compiler {
            match compiler
                .compile(request, self.code, &self.fingerprint)
                .await
            {
                Ok(compiled) => return Ok(compiled),
                Err(CompileFailure::Refused(error)) => return Err(error),
                Err(CompileFailure::NotStarted(reason)) => {
                    tracing::warn!("compiling the policy in-process, mail may be slower: {reason}");
                }
            }
        }
        let runtime = tokio::runtime::Handle::current();
        let (engine, request) = (self.engine.engine.clone(), request.clone());
        blocking(move || runtime.block_on(compile::compile(&engine, &request))).await
    }

    /// Links compiled code and writes it to the cache.
    async fn store_artifact(
        &self,
        request: &CompileRequest,
        sha256: [u8; 32],
        compiled: Compiled,
    ) -> Result<Found, LoadError> {
        let (loader, request) = (self.clone(), request.clone());
        blocking(move || {
            let linked = loader.instantiate(&compiled)?;
            if let Some((cache, fingerprint)) = &loader.cache {
                cache.put(&EntryName::new(&request, &sha256, fingerprint), &compiled);
            }
            Ok((compiled, linked))
        })
        .await
    }

    /// Loads the code of a compiled component into the engine and links it.
    fn instantiate(&self, compiled: &Compiled) -> Result<LinkedPolicy, LoadError> {
        // SAFETY: `deserialize` requires the unaltered output of
        // `Engine::precompile_component`. These bytes are from `compile` in this
        // process; or from a process that runs the program that we were configured to
        // compile with; or from an entry of the cache whose HMAC, by a key that only
        // we have, was verified on this copy in memory. A policy's file never gets
        // here: it is compiled.
        let component = unsafe { Component::deserialize(&self.engine.engine, &compiled.code) }
            .map_err(|error| LoadError::DoesNotFit(format!("{error:#}")))?;
        LinkedPolicy::new(&self.engine, &component)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Engine(error.to_string()))?
}
