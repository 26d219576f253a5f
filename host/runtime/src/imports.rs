//! The imports of a component: the contract, an empty WASI, and traps for all other WASI functions.

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};

use super::contract;
use super::error::{Denied, LoadError};
use super::state::State;

/// Access that a policy has to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportAccess {
    /// The contract: the message, the facts, the log.
    Contract,
    /// A part of WASI that works and reveals nothing.
    Empty,
    /// A part of WASI whose functions all fail the decision that calls them.
    Denied,
    /// None: a component that imports it is not loaded.
    Foreign,
}

/// Packages of WASI that are linked: without preopened folders, arguments and
/// environment they reveal nothing, and a guest's standard library needs them.
/// All functions of other packages (sockets, http) trap with their name.
const QUIET_WASI: [&str; 5] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
];

/// The linker that each component's linker is copied from.
pub(super) fn base(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    // Streams, clocks, secure randomness and standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, State::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, State::random)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    contract::add_to_linker(l)?;
    Ok(linker)
}

/// Access to an import of that name.
pub(super) fn access(import: &str) -> ImportAccess {
    if import.starts_with(contract::PACKAGE) {
        ImportAccess::Contract
    } else if QUIET_WASI.iter().any(|package| import.starts_with(package)) {
        ImportAccess::Empty
    } else if import.starts_with("wasi:") {
        ImportAccess::Denied
    } else {
        ImportAccess::Foreign
    }
}

/// A linker for one component. WASI imports beyond [`QUIET_WASI`] are defined and
/// trap when they are called: guests in Python import functions that they never
/// call.
///
/// # Errors
///
/// If an import belongs neither to the contract nor to WASI.
pub(super) fn for_component(
    base: &Linker<State>,
    engine: &Engine,
    component: &Component,
) -> Result<Linker<State>, LoadError> {
    let mut linker = base.clone();
    let mut known = Vec::new();
    for (import, item) in component.component_type().imports(engine) {
        let access = access(import);
        let linked = matches!(access, ImportAccess::Contract | ImportAccess::Empty);
        let instance = match item.ty {
            ComponentItem::ComponentInstance(instance) if access != ImportAccess::Foreign => {
                instance
            }
            _ => return Err(LoadError::UnknownImport(import.to_owned())),
        };
        let items = instance.exports(engine).map(|(name, item)| (name, item.ty));
        if linked {
            known.extend(items.filter_map(|(_, item)| resource(&item)));
            continue;
        }
        let refused = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let mut denied = linker.instance(import).map_err(refused)?;
        for (name, item) in items {
            deny(&mut denied, import, name, &item, &mut known).map_err(refused)?;
        }
    }
    Ok(linker)
}

fn resource(item: &ComponentItem) -> Option<ResourceType> {
    match item {
        ComponentItem::Resource(resource) => Some(*resource),
        _ => None,
    }
}

/// Defines one item of a denied interface. A resource that an earlier interface
/// defined (`known`) is the same one under another name, and must not be defined
/// again.
fn deny(
    linker: &mut LinkerInstance<'_, State>,
    import: &str,
    name: &str,
    item: &ComponentItem,
    known: &mut Vec<ResourceType>,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let full = format!("{import}#{name}");
            linker.func_new(name, move |_, _, _, _| Err(Denied(full.clone()).into()))
        }
        ComponentItem::Resource(resource) if !known.contains(resource) => {
            known.push(*resource);
            linker.resource(name, ResourceType::host::<Denied>(), |_, _| Ok(()))
        }
        _ => Ok(()),
    }
}
