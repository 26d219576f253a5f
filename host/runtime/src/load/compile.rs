//! Compilation of a component to pre-initialized machine code.
//!
//! A component is compiled twice: quickly, in the form that setup runs on, and then
//! optimized, pre-initialized with its settings and without the code that read them. If
//! it cannot be pre-initialized, the second is the original component.
//!
//! The same request always gives the same result, so that another process can do it, and
//! the result can be cached.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::call;
use crate::contract::Exports;
use crate::describe::{Configured, Description};
use crate::deterministic_env::Seed;
use crate::engine::RuntimeEngine;
use crate::error::LoadError;
use crate::linked::LinkedPolicy;
use crate::preinit::Instrumented;
use crate::setup::Setup;
use crate::strip_setup::strip_setup;

/// Everything that the result depends on, except for the engine.
#[derive(Clone)]
pub(super) struct CompileRequest {
    pub(super) component: Arc<[u8]>,
    pub(super) settings: Arc<str>,
    /// Seed of the randomness during pre-initialization: specific to the component, derived
    /// from a secret.
    pub(super) seed: Seed,
    /// Maximum bytes of linear memory of the policy.
    pub(super) memory: usize,
}

impl CompileRequest {
    /// A request, and the digest of its component.
    pub(super) fn new(
        component: Arc<[u8]>,
        settings: Arc<str>,
        secret: &Seed,
        memory: usize,
    ) -> (Self, [u8; 32]) {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &component).as_ref());
        let mut seed = *secret.as_bytes();
        seed.iter_mut()
            .zip(sha256)
            .for_each(|(byte, digest)| *byte ^= digest);
        let request = Self {
            component,
            settings,
            seed: Seed::new(seed),
            memory,
        };
        (request, sha256)
    }
}

/// A pre-initialized component as code for one kind of engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Compiled {
    pub(super) description: Description,
    pub(super) configured: Configured,
    /// Why it could not be pre-initialized: each instance is configured before it decides.
    pub(super) not_preinitialized: Option<String>,
    /// The compiled code of wasmtime.
    #[serde(skip)]
    pub(super) code: Bytes,
}

/// Describes, configures, pre-initializes and compiles for `engine`. Blocks for two
/// compilations: not for a thread that serves mail.
///
/// # Errors
///
/// If the bytes are not a component of the contract, or the policy rejects its settings.
pub(super) async fn compile(
    engine: &Engine,
    request: &CompileRequest,
) -> Result<Compiled, LoadError> {
    let setup_engine = RuntimeEngine::setup()?;
    let instrumented = Instrumented::new(&setup_engine.engine, &request.component);
    let component = match &instrumented {
        Ok(instrumented) => instrumented.component().clone(),
        Err(_) => Component::from_binary(&setup_engine.engine, &request.component)
            .map_err(|error| LoadError::NotAComponent(call::brief(&format!("{error:#}"))))?,
    };
    let policy = LinkedPolicy::new(&setup_engine, &component)?;
    let setup = Setup {
        engine: &setup_engine.engine,
        seed: request.seed,
        memory: request.memory,
    };
    let description = setup.describe(&policy).await?;
    let (mut store, instance, configured) = setup.configure(&policy, &request.settings).await?;
    let preinitialized = match instrumented {
        Ok(instrumented) => instrumented.preinitialize(&mut store, instance).await,
        Err(error) => Err(error),
    };
    let not_preinitialized = preinitialized
        .as_ref()
        .err()
        .map(|error| format!("{error:#}"));
    let bytes = match &preinitialized {
        Ok(bytes) => without_setup(bytes, &*policy.exports),
        Err(_) => Cow::Borrowed(&*request.component),
    };
    // It is known to be a component: errors here are about sizes.
    let code = engine
        .precompile_component(&bytes)
        .map_err(|error| LoadError::DoesNotFit(format!("{error:#}")))?;
    Ok(Compiled {
        description,
        configured,
        not_preinitialized,
        code: code.into(),
    })
}

/// Removes what decisions cannot reach, so that it is not compiled with optimization.
fn without_setup<'a>(component: &'a [u8], exports: &dyn Exports) -> Cow<'a, [u8]> {
    match strip_setup(component, &exports.setup_functions()) {
        Ok(stripped) => Cow::Owned(stripped),
        Err(error) => {
            tracing::debug!("cannot strip the setup functions of the policy: {error:#}");
            Cow::Borrowed(component)
        }
    }
}
