//! From the bytes of a component to machine code with its settings in it.
//!
//! A component is compiled twice: quickly, in the form that setup runs on, and
//! then as it will serve, with its settings baked in and without the code that
//! took them. Where they cannot be, the second is the component as it is.
//!
//! The same request gives the same answer wherever and whenever it is done, so that
//! it may be done by another process, or have been done yesterday.

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

/// All that the result depends on, beside the engine.
#[derive(Clone)]
pub(super) struct CompileRequest {
    pub(super) component: Arc<[u8]>,
    pub(super) settings: Arc<str>,
    /// Of the randomness that is baked in: the component's own, made of a
    /// secret.
    pub(super) seed: Seed,
    /// Bytes of linear memory that the policy may have.
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

/// A component with its settings in it, as code for one kind of engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Compiled {
    pub(super) description: Description,
    pub(super) configured: Configured,
    /// Why its settings could not be baked in: each instance is configured
    /// before it decides.
    pub(super) not_preinitialized: Option<String>,
    /// What wasmtime made of it.
    #[serde(skip)]
    pub(super) code: Bytes,
}

/// Describes, configures, bakes and compiles for `engine`. Blocking work (two
/// compilations): not for a thread that serves mail.
///
/// # Errors
///
/// When the bytes are no component of our world, or the policy does not take
/// its settings.
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
    // It is a component, as is known by now: what fails here are the sizes.
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

/// Takes out what decisions cannot reach: that is not worth compiling well.
fn without_setup<'a>(component: &'a [u8], exports: &dyn Exports) -> Cow<'a, [u8]> {
    match strip_setup(component, &exports.setup_functions()) {
        Ok(stripped) => Cow::Owned(stripped),
        Err(error) => {
            tracing::debug!("the policy is compiled with all of its setup: {error:#}");
            Cow::Borrowed(component)
        }
    }
}
