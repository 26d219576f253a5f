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
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store};

use super::contract::Exports;
use super::describe::{Configured, Description};
use super::engine::RuntimeEngine;
use super::error::{LoadError, PolicyError, SetupCall};
use super::preinit::Instrumented;
use super::run::{self, CallLimits, Setup};
use super::state::{DeterministicEnv, Seed, State};
use super::strip_setup::strip_setup;
use super::{limits, link};

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
        let mut seed = *secret;
        seed.iter_mut()
            .zip(sha256)
            .for_each(|(byte, digest)| *byte ^= digest);
        let request = Self {
            component,
            settings,
            seed,
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
    let machine = RuntimeEngine::setup()?;
    let call = Setup {
        engine: &machine.engine,
        moment: DeterministicEnv {
            since_epoch: Duration::ZERO,
            seed: request.seed,
        },
        memory: request.memory,
    };
    let instrumented = Instrumented::new(&machine.engine, &request.component);
    let component = match &instrumented {
        Ok(instrumented) => instrumented.component().clone(),
        Err(_) => Component::from_binary(&machine.engine, &request.component)
            .map_err(|error| LoadError::NotAComponent(run::brief(&format!("{error:#}"))))?,
    };
    let linker = link::for_component(&machine.linker, &machine.engine, &component)?;
    let world = world(&linker, &component)?;
    let description = described(&call, &world).await?;
    let (mut store, instance, configured) = configured(&call, &world, &request.settings).await?;
    let baked = match instrumented {
        Ok(instrumented) => instrumented.preinitialize(&mut store, instance).await,
        Err(error) => Err(error),
    };
    let not_preinitialized = baked.as_ref().err().map(|error| format!("{error:#}"));
    let bytes = match &baked {
        Ok(baked) => without_setup(baked, &world.exports),
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
fn without_setup<'a>(baked: &'a [u8], exports: &Exports) -> Cow<'a, [u8]> {
    match strip_setup(baked, &exports.of_setup()) {
        Ok(stripped) => Cow::Owned(stripped),
        Err(error) => {
            tracing::debug!("the policy is compiled with all of its setup: {error:#}");
            Cow::Borrowed(baked)
        }
    }
}

/// A component that can be instantiated, and where its exports are.
pub(super) struct LinkedPolicy {
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
}

/// Finds the exports of our world in a component, or says what is not so.
pub(super) fn world(
    linker: &Linker<State>,
    component: &Component,
) -> Result<LinkedPolicy, LoadError> {
    let wrong = |error: wasmtime::Error| LoadError::WrongWorld(format!("{error:#}"));
    let pre = linker.instantiate_pre(component).map_err(wrong)?;
    let exports = Exports::find(&pre).map_err(wrong)?;
    Ok(LinkedPolicy { pre, exports })
}

/// Describes an instance that is thrown away.
pub(super) async fn described(
    call: &Setup<'_>,
    world: &LinkedPolicy,
) -> Result<Description, LoadError> {
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let instance = world.pre.instantiate_async(&mut store).await?;
        world.exports.describe(&mut store, &instance).await
    })
    .await;
    let failed = |error: PolicyError| LoadError::Setup {
        call: SetupCall::Describe,
        error,
    };
    run::classify(outcome, &store, &CallLimits::setup(call.memory)).map_err(failed)
}

/// Configures an instance, which is given back with what it holds.
pub(super) async fn configured(
    call: &Setup<'_>,
    world: &LinkedPolicy,
    settings: &str,
) -> Result<(Store<State>, Instance, Configured), LoadError> {
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let instance = world.pre.instantiate_async(&mut store).await?;
        let exports = &world.exports;
        let answer = exports.configure(&mut store, &instance, settings).await?;
        Ok((instance, answer))
    })
    .await;
    let failed = |error: PolicyError| LoadError::Setup {
        call: SetupCall::Configure,
        error,
    };
    let (instance, answer) =
        run::classify(outcome, &store, &CallLimits::setup(call.memory)).map_err(failed)?;
    match answer {
        Ok(configured) => Ok((store, instance, configured)),
        Err(problems) => Err(LoadError::Settings(problems)),
    }
}
