//! From the bytes of a component to a policy that can be called.
//!
//! A component is compiled twice: quickly, in the form that setup runs on, and
//! then optimised with its settings in it. Where the settings cannot be baked
//! in, the second is the component as it is.

use std::ops::Range;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre, Linker};

use super::bake::Instrumented;
use super::bindings::exports::waxseal::policy::{handler, setup};
use super::bindings::{Policy, PolicyPre};
use super::engine::Machine;
use super::error::{LoadError, PolicyError, SettingsProblem};
use super::run::{self, Bounds, Setup};
use super::state::{Moment, Seed, State, one_line};
use super::{limits, link};

/// What a policy says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON Schema of its settings, if it has one.
    pub settings_schema: Option<String>,
}

/// A name of the host's that the settings mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it names.
    pub kind: ReferenceKind,
    /// The name.
    pub name: String,
    /// Bytes of the settings text.
    pub span: std::ops::Range<usize>,
}

/// What a [`Reference`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// `[relay.NAME]` of `waxseal.toml`.
    Relay,
    /// A domain that is signed for.
    DkimDomain,
    /// `[table.NAME]` of `waxseal.toml`.
    Table,
    /// A counter.
    Counter,
}

/// What came of reading the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Names of the host's that they mention.
    pub references: Vec<Reference>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<SettingsProblem>,
}

/// A component with its settings in it, ready to be instantiated.
pub(super) struct Loaded {
    pub(super) pre: InstancePre<State>,
    /// Where the two interfaces are in it.
    pub(super) setup: setup::GuestIndices,
    pub(super) handler: handler::GuestIndices,
    pub(super) description: Description,
    pub(super) configured: Configured,
    /// The settings stand in the component's memory. Where not, each instance
    /// is configured before it decides.
    pub(super) baked: bool,
}

/// Loads, describes, configures and bakes. Blocking work (two compilations):
/// not for a thread that serves mail.
pub(super) async fn load(
    serving: &Machine,
    bytes: &[u8],
    settings: &str,
    seed: Seed,
    memory: usize,
) -> Result<Loaded, LoadError> {
    let machine = Machine::setup()?;
    let call = Setup {
        engine: &machine.engine,
        moment: Moment {
            since_epoch: Duration::ZERO,
            seed,
        },
        memory,
    };
    let instrumented = Instrumented::new(&machine.engine, bytes);
    let component = match &instrumented {
        Ok(instrumented) => instrumented.component().clone(),
        Err(_) => Component::from_binary(&machine.engine, bytes)
            .map_err(|error| LoadError::NotAComponent(format!("{error:#}")))?,
    };
    let linker = link::for_component(&machine.linker, &machine.engine, &component)?;
    let pre = world(&linker, &component)?;
    let description = describe(&call, &pre).await?;
    let (mut store, instance, configured) = configure(&call, &pre, settings).await?;
    let baked = match instrumented {
        Ok(instrumented) => instrumented.bake(&mut store, instance).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &baked {
        let (policy, why) = (&description.name, format!("{error:#}"));
        tracing::warn!(
            policy,
            why,
            "the settings cannot be baked in: the policy reads them for each message, which is slower"
        );
    }
    let baked = baked.ok();
    let pre = serve(serving, baked.as_deref().unwrap_or(bytes))?;
    let wrong = |error: wasmtime::Error| LoadError::WrongWorld(format!("{error:#}"));
    Ok(Loaded {
        setup: setup::GuestIndices::new(&pre).map_err(wrong)?,
        handler: handler::GuestIndices::new(&pre).map_err(wrong)?,
        pre,
        description,
        configured,
        baked: baked.is_some(),
    })
}

fn serve(machine: &Machine, bytes: &[u8]) -> Result<InstancePre<State>, LoadError> {
    // It is a component, as is known by now: what fails here are the sizes.
    let component = Component::from_binary(&machine.engine, bytes)
        .map_err(|error| LoadError::DoesNotFit(format!("{error:#}")))?;
    let linker = link::for_component(&machine.linker, &machine.engine, &component)?;
    Ok(world(&linker, &component)?.instance_pre().clone())
}

pub(super) fn world(
    linker: &Linker<State>,
    component: &Component,
) -> Result<PolicyPre<State>, LoadError> {
    let wrong = |error: wasmtime::Error| LoadError::WrongWorld(format!("{error:#}"));
    let pre: InstancePre<State> = linker.instantiate_pre(component).map_err(wrong)?;
    PolicyPre::new(pre).map_err(wrong)
}

/// Describes an instance that is thrown away.
pub(super) async fn describe(
    call: &Setup<'_>,
    pre: &PolicyPre<State>,
) -> Result<Description, LoadError> {
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let policy = pre.instantiate_async(&mut store).await?;
        policy
            .waxseal_policy_setup()
            .call_describe(&mut store)
            .await
    })
    .await;
    let failed = |error: PolicyError| LoadError::Setup {
        call: "describe",
        error,
    };
    let given = run::classify(outcome, &store, &Bounds::setup(call.memory)).map_err(failed)?;
    Ok(Description {
        name: run::brief(&given.name),
        version: run::brief(&given.version),
        settings_schema: given.settings_schema,
    })
}

/// Configures an instance, which is given back with what it holds.
pub(super) async fn configure(
    call: &Setup<'_>,
    pre: &PolicyPre<State>,
    settings: &str,
) -> Result<(Store<State>, Instance, Configured), LoadError> {
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let instance = pre.instance_pre().instantiate_async(&mut store).await?;
        let policy = Policy::new(&mut store, &instance)?;
        let setup = policy.waxseal_policy_setup();
        let answer = setup.call_configure(&mut store, settings).await?;
        Ok((instance, answer))
    })
    .await;
    let failed = |error: PolicyError| LoadError::Setup {
        call: "configure",
        error,
    };
    let (instance, answer) =
        run::classify(outcome, &store, &Bounds::setup(call.memory)).map_err(failed)?;
    let problems = |given: Vec<setup::Problem>| -> Vec<SettingsProblem> {
        given
            .into_iter()
            .map(|given| problem(given, settings))
            .collect()
    };
    match answer {
        Ok(given) => {
            let references = given.references.into_iter();
            let configured = Configured {
                references: references.map(|given| reference(given, settings)).collect(),
                warnings: problems(given.warnings),
            };
            Ok((store, instance, configured))
        }
        Err(given) => Err(LoadError::Settings(problems(given))),
    }
}

/// Bytes of the settings text, whatever a policy says they are.
fn span(settings: &str, offset: u32, length: u32) -> Range<usize> {
    let start = settings.floor_char_boundary(offset as usize);
    let end = settings.ceil_char_boundary((offset as usize).saturating_add(length as usize));
    start..end.max(start)
}

fn problem(given: setup::Problem, settings: &str) -> SettingsProblem {
    SettingsProblem {
        span: span(settings, given.offset, given.length),
        message: one_line(&given.message),
        expected: given.expected.as_deref().map(one_line),
    }
}

fn reference(given: setup::Reference, settings: &str) -> Reference {
    Reference {
        kind: match given.kind {
            setup::ReferenceKind::Relay => ReferenceKind::Relay,
            setup::ReferenceKind::DkimDomain => ReferenceKind::DkimDomain,
            setup::ReferenceKind::Table => ReferenceKind::Table,
            setup::ReferenceKind::Counter => ReferenceKind::Counter,
        },
        name: one_line(&given.name),
        span: span(settings, given.offset, given.length),
    }
}
