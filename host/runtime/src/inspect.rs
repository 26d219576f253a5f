//! Inspection of a component without activating it.
//!
//! Defects of the component are reported in the result, not as `Err`.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use super::call;
use super::contract::PACKAGE;
use super::describe::Description;
use super::deterministic_env::Seed;
use super::engine::RuntimeEngine;
use super::error::{LoadError, SettingsProblem};
use super::imports::{self, ImportAccess};
use super::linked::LinkedPolicy;
use super::preinit::Instrumented;
use super::setup::Setup;

/// The result of an inspection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Bytes of the file.
    pub size: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its imports, in order.
    pub imports: Vec<Import>,
    /// Its exports.
    pub exports: Vec<String>,
    /// Versions of `waxseal:policy` of its exports.
    pub contract: Vec<String>,
    /// Its description; `None` if it fails before that.
    pub description: Option<Description>,
    /// Whether its settings can be pre-initialized; `None` if it fails before that.
    pub preinit: Option<Preinit>,
    /// Problems of the given settings.
    pub settings: Vec<SettingsProblem>,
    /// Why it cannot be loaded, whatever its settings.
    pub problem: Option<String>,
}

impl Inspection {
    /// An inspection with the properties of the file only.
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

    /// The inspection of a component that could not be inspected, with the reason.
    pub(super) fn failed(bytes: &[u8], problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::of_file(bytes)
        }
    }

    /// Whether it can be activated, with the given settings.
    pub fn is_fit(&self) -> bool {
        self.problem.is_none() && self.settings.is_empty()
    }
}

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Import {
    /// Its name, such as `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    /// What it finds there.
    pub access: ImportAccess,
}

/// Whether the settings of a component can be pre-initialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preinit {
    /// They were pre-initialized during the inspection.
    Done,
    /// Probably: no valid settings were given to try it.
    Possible,
    /// No, for this reason: each message pays for reading them.
    Impossible(String),
}

/// Inspects a component: compiles, describes and configures it as a load does,
/// except for the last compilation. Without settings it is configured with an
/// empty text, and problems of that text are not reported.
///
/// `memory` is the limit on its linear memory, in bytes.
pub async fn inspect(bytes: &[u8], settings: Option<&str>, memory: usize) -> Inspection {
    let mut inspection = Inspection::of_file(bytes);
    if let Err(error) = examine(&mut inspection, bytes, settings, memory).await {
        match error {
            LoadError::Settings(problems) if settings.is_some() => inspection.settings = problems,
            LoadError::Settings(_) => {}
            error => inspection.problem = Some(error.to_string()),
        }
    }
    inspection
}

/// Fills in the inspection up to the first error.
async fn examine(
    inspection: &mut Inspection,
    bytes: &[u8],
    settings: Option<&str>,
    memory: usize,
) -> Result<(), LoadError> {
    let engine = RuntimeEngine::setup()?;
    let instrumented = Instrumented::new(&engine.engine, bytes);
    let component = match &instrumented {
        Ok(instrumented) => instrumented.component().clone(),
        Err(_) => Component::from_binary(&engine.engine, bytes)
            .map_err(|error| LoadError::NotAComponent(call::brief(&format!("{error:#}"))))?,
    };
    interfaces(inspection, &engine, &component);
    inspection.preinit = match &instrumented {
        Ok(_) => Some(Preinit::Possible),
        Err(error) => Some(Preinit::Impossible(format!("{error:#}"))),
    };
    let policy = LinkedPolicy::new(&engine, &component)?;
    let setup = Setup {
        engine: &engine.engine,
        seed: Seed::default(),
        memory,
    };
    inspection.description = Some(setup.describe(&policy).await?);
    let settings = settings.unwrap_or_default();
    let (mut store, instance, _) = setup.configure(&policy, settings).await?;
    if let Ok(instrumented) = &instrumented {
        let snapshot = instrumented.preinitialize(&mut store, instance).await;
        inspection.preinit = Some(match snapshot {
            Ok(_) => Preinit::Done,
            Err(error) => Preinit::Impossible(format!("{error:#}")),
        });
    }
    Ok(())
}

/// Lists imports and exports, without those that the instrumentation added.
fn interfaces(inspection: &mut Inspection, engine: &RuntimeEngine, component: &Component) {
    let engine = &engine.engine;
    let all = component.component_type();
    let imports = all.imports(engine);
    inspection.imports = imports
        .map(|(name, _)| Import {
            name: name.to_owned(),
            access: imports::access(name),
        })
        .collect();
    let exports = all.exports(engine).map(|(name, _)| name.to_owned());
    inspection.exports = exports.filter(|name| !is_instrumentation(name)).collect();
    for export in &inspection.exports {
        let version = export
            .strip_prefix(PACKAGE)
            .and_then(|rest| rest.split_once('@'));
        if let Some((_, version)) = version
            && !inspection.contract.iter().any(|known| known == version)
        {
            inspection.contract.push(version.to_owned());
        }
    }
}

/// Whether the instrumentation added this export, to read memories and globals.
fn is_instrumentation(export: &str) -> bool {
    export.starts_with("wasmtime:wizer/")
}
