//! What can be told of a component without putting it in service.
//!
//! Nothing that is wrong with it is an error here: it is what is told.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use super::compile;
use super::contract::PACKAGE;
use super::describe::Description;
use super::engine::RuntimeEngine;
use super::error::{LoadError, SettingsProblem};
use super::link;
use super::preinit::Instrumented;
use super::run::{self, Setup};
use super::state::DeterministicEnv;

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Bytes of the file.
    pub size: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What it imports, in its order.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Versions of `waxseal:policy` that its exports are of.
    pub contract: Vec<String>,
    /// What it says about itself; none where it does not get that far.
    pub description: Option<Description>,
    /// Whether settings can be baked in; none where it does not get that far.
    pub preinit: Option<Preinit>,
    /// What is wrong with the settings that it was tried with.
    pub settings: Vec<SettingsProblem>,
    /// What keeps it from being loaded, whatever its settings.
    pub problem: Option<String>,
}

impl Inspection {
    /// Nothing more than the file itself is known.
    fn of_file(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len(),
            sha256: HEXLOWER.encode(digest(&SHA256, bytes).as_ref()),
            imports: Vec::new(),
            exports: Vec::new(),
            contract: Vec::new(),
            description: None,
            preinit: None,
            settings: Vec::new(),
            problem: None,
        }
    }

    /// A component that could not be looked at, and why.
    pub(super) fn failed(bytes: &[u8], problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::of_file(bytes)
        }
    }

    /// Whether it can be put in service, with the settings that it was tried
    /// with.
    pub fn is_fit(&self) -> bool {
        self.problem.is_none() && self.settings.is_empty()
    }
}

/// Something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its name, such as `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    /// What it finds there.
    pub access: ImportAccess,
}

/// What a policy finds behind an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportAccess {
    /// The contract: the message, the facts, the log.
    Contract,
    /// A part of WASI that is there and gives nothing away.
    Empty,
    /// A part of WASI each of whose functions fails the decision that calls it.
    Denied,
    /// Nothing: a component that imports it is not loaded.
    Foreign,
}

/// Whether settings can be baked into a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preinit {
    /// They were, when it was tried.
    Done,
    /// As far as can be seen without settings that it takes.
    Possible,
    /// Each message pays for reading them, and why.
    Impossible(String),
}

/// Tells what a component is. It is compiled, described and configured as when
/// it is loaded, but for the last compilation; without settings it is tried with
/// none, and what is wrong with that is not told.
///
/// `memory` is the most linear memory that it may have, in bytes.
pub async fn inspect(bytes: &[u8], settings: Option<&str>, memory: usize) -> Inspection {
    let mut inspection = Inspection::of_file(bytes);
    if let Err(error) = look(&mut inspection, bytes, settings, memory).await {
        match error {
            LoadError::Settings(problems) if settings.is_some() => inspection.settings = problems,
            LoadError::Settings(_) => {}
            error => inspection.problem = Some(error.to_string()),
        }
    }
    inspection
}

/// Fills in what there is to see, up to the first thing that is wrong.
async fn look(
    told: &mut Inspection,
    bytes: &[u8],
    settings: Option<&str>,
    memory: usize,
) -> Result<(), LoadError> {
    let machine = RuntimeEngine::setup()?;
    let instrumented = Instrumented::new(&machine.engine, bytes);
    let component = match &instrumented {
        Ok(instrumented) => instrumented.component().clone(),
        Err(_) => Component::from_binary(&machine.engine, bytes)
            .map_err(|error| LoadError::NotAComponent(run::brief(&format!("{error:#}"))))?,
    };
    interfaces(told, &machine, &component);
    told.preinit = match &instrumented {
        Ok(_) => Some(Preinit::Possible),
        Err(error) => Some(Preinit::Impossible(format!("{error:#}"))),
    };
    let linker = link::for_component(&machine.linker, &machine.engine, &component)?;
    let world = compile::world(&linker, &component)?;
    let call = Setup {
        engine: &machine.engine,
        moment: DeterministicEnv {
            since_epoch: Duration::ZERO,
            seed: [0; 32],
        },
        memory,
    };
    told.description = Some(compile::described(&call, &world).await?);
    let settings = settings.unwrap_or_default();
    let (mut store, instance, _) = compile::configured(&call, &world, settings).await?;
    if let Ok(instrumented) = &instrumented {
        told.preinit = Some(
            match instrumented.preinitialize(&mut store, instance).await {
                Ok(_) => Preinit::Done,
                Err(error) => Preinit::Impossible(format!("{error:#}")),
            },
        );
    }
    Ok(())
}

/// Names of what goes in and out. The instrumentation exports one thing more.
fn interfaces(told: &mut Inspection, machine: &RuntimeEngine, component: &Component) {
    let engine = &machine.engine;
    let all = component.component_type();
    let imports = all.imports(engine);
    told.imports = imports
        .map(|(name, _)| Import {
            name: name.to_owned(),
            access: link::access(name),
        })
        .collect();
    let exports = all.exports(engine).map(|(name, _)| name.to_owned());
    told.exports = exports.filter(|name| !is_instrumentation(name)).collect();
    for export in &told.exports {
        let version = export
            .strip_prefix(PACKAGE)
            .and_then(|rest| rest.split_once('@'));
        if let Some((_, version)) = version
            && !told.contract.iter().any(|known| known == version)
        {
            told.contract.push(version.to_owned());
        }
    }
}

/// Whether an export was added so that memories and globals can be read.
fn is_instrumentation(export: &str) -> bool {
    export.starts_with("wasmtime:wizer/")
}
