//! From the bytes of a component to a policy that can be called.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker, ResourceType};

use super::bindings::exports::waxseal::policy::setup;
use super::engine::Engines;
use super::error::{Denied, LoadError, PolicyError, SettingsProblem};
use super::state::{Moment, Seed, State};
use super::{bake, limits, run};

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
    pub(super) pre: bindings_pre::PolicyPre<State>,
    pub(super) description: Description,
    pub(super) configured: Configured,
    /// The settings stand in the component's memory. Where not, each instance
    /// is configured before it decides.
    pub(super) baked: bool,
}

use super::bindings as bindings_pre;

/// Loads, describes, configures and bakes. Blocking work (two compilations):
/// not for a thread that serves mail.
pub(super) async fn load(
    engines: &Engines,
    bytes: &[u8],
    settings: &str,
    seed: Seed,
    memory: usize,
) -> Result<Loaded, LoadError> {
    let plain = compile(&engines.on_demand, bytes)?;
    let linker = allowed(&engines.on_demand_linker, &engines.on_demand, &plain)?;
    let pre = world(&linker, &plain)?;
    let moment = Moment {
        since_epoch: std::time::Duration::ZERO,
        seed,
    };
    let description = describe(&engines.on_demand, &pre, moment, memory).await?;
    let call = run::Setup {
        engine: &engines.on_demand,
        moment,
        memory,
    };
    let (component, configured) = match bake::bake(&call, &linker, bytes, settings).await? {
        bake::Outcome::Baked {
            component,
            configured,
        } => (Some(component), configured),
        bake::Outcome::NotPossible { why, configured } => {
            tracing::warn!(
                policy = description.name,
                why,
                "the settings cannot be baked in: the policy is configured for each message, which is slower"
            );
            let configured = match configured {
                Some(configured) => configured,
                None => configure(&call, &pre, settings).await?,
            };
            (None, configured)
        }
    };
    let baked = component.is_some();
    let served = compile(&engines.pooled, component.as_deref().unwrap_or(bytes))?;
    let linker = allowed(&engines.pooled_linker, &engines.pooled, &served)?;
    Ok(Loaded {
        pre: world(&linker, &served)?,
        description,
        configured,
        baked,
    })
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    Component::from_binary(engine, bytes)
        .map_err(|error| LoadError::NotAComponent(format!("{error:#}")))
}

fn world(
    linker: &Linker<State>,
    component: &Component,
) -> Result<bindings_pre::PolicyPre<State>, LoadError> {
    let wrong = |error: wasmtime::Error| LoadError::WrongWorld(format!("{error:#}"));
    let pre: InstancePre<State> = linker.instantiate_pre(component).map_err(wrong)?;
    bindings_pre::PolicyPre::new(pre).map_err(wrong)
}

/// WASI packages that are linked: without a preopened folder, an argument or an
/// environment they give nothing away. All others trap with their name.
const QUIET_WASI: [&str; 5] = [
    "wasi:cli/",
    "wasi:io/",
    "wasi:random/",
    "wasi:clocks/",
    "wasi:filesystem/",
];

/// A linker for this component: whatever it imports beyond its world traps with
/// its name when called, since guests in Python import what they never call.
/// Packages that are neither ours nor WASI's are refused.
fn allowed(
    base: &Linker<State>,
    engine: &Engine,
    component: &Component,
) -> Result<Linker<State>, LoadError> {
    let mut linker = base.clone();
    linker.allow_shadowing(true);
    for (import, item) in component.component_type().imports(engine) {
        if import.starts_with("waxseal:policy/")
            || QUIET_WASI.iter().any(|package| import.starts_with(package))
        {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(LoadError::UnknownImport(import.to_owned()));
        };
        if !import.starts_with("wasi:") {
            return Err(LoadError::UnknownImport(import.to_owned()));
        }
        let refuse = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let mut denied = linker.instance(import).map_err(refuse)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let full = format!("{import}#{name}");
                    denied
                        .func_new(name, move |_, _, _, _| Err(Denied(full.clone()).into()))
                        .map_err(refuse)?;
                }
                ComponentItem::Resource(_) => {
                    denied
                        .resource(name, ResourceType::host::<Denied>(), |_, _| Ok(()))
                        .map_err(refuse)?;
                }
                _ => {}
            }
        }
    }
    Ok(linker)
}

async fn describe(
    engine: &Engine,
    pre: &bindings_pre::PolicyPre<State>,
    moment: Moment,
    memory: usize,
) -> Result<Description, LoadError> {
    let call = run::Setup {
        engine,
        moment,
        memory,
    };
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let policy = pre.instantiate_async(&mut store).await?;
        policy
            .waxseal_policy_setup()
            .call_describe(&mut store)
            .await
    })
    .await;
    let given = run::classify(outcome, &store, &run::Bounds::setup(memory)).map_err(|error| {
        LoadError::Setup {
            call: "describe",
            error,
        }
    })?;
    Ok(Description {
        name: given.name,
        version: given.version,
        settings_schema: given.settings_schema,
    })
}

/// Configures an instance that is thrown away.
async fn configure(
    call: &run::Setup<'_>,
    pre: &bindings_pre::PolicyPre<State>,
    settings: &str,
) -> Result<Configured, LoadError> {
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let policy = pre.instantiate_async(&mut store).await?;
        policy
            .waxseal_policy_setup()
            .call_configure(&mut store, settings)
            .await
    })
    .await;
    configured(outcome, &store, call)
}

/// What `configure` answered.
pub(super) fn configured(
    outcome: run::Outcome<Result<setup::Configured, Vec<setup::Problem>>>,
    store: &wasmtime::Store<State>,
    call: &run::Setup<'_>,
) -> Result<Configured, LoadError> {
    let failed = |error: PolicyError| LoadError::Setup {
        call: "configure",
        error,
    };
    match run::classify(outcome, store, &run::Bounds::setup(call.memory)).map_err(failed)? {
        Ok(given) => Ok(Configured {
            references: given.references.into_iter().map(reference).collect(),
            warnings: given.warnings.into_iter().map(problem).collect(),
        }),
        Err(problems) => Err(LoadError::Settings(
            problems.into_iter().map(problem).collect(),
        )),
    }
}

fn span(offset: u32, length: u32) -> std::ops::Range<usize> {
    let start = offset as usize;
    start..start.saturating_add(length as usize)
}

fn problem(given: setup::Problem) -> SettingsProblem {
    SettingsProblem {
        span: span(given.offset, given.length),
        message: given.message,
        expected: given.expected,
    }
}

fn reference(given: setup::Reference) -> Reference {
    Reference {
        kind: match given.kind {
            setup::ReferenceKind::Relay => ReferenceKind::Relay,
            setup::ReferenceKind::DkimDomain => ReferenceKind::DkimDomain,
            setup::ReferenceKind::Table => ReferenceKind::Table,
            setup::ReferenceKind::Counter => ReferenceKind::Counter,
        },
        name: given.name,
        span: span(given.offset, given.length),
    }
}

/// Settings as every call shares them.
pub(super) type Settings = Arc<str>;
