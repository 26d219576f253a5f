//! A component with resolved imports and exports.

use wasmtime::component::{Component, InstancePre};

use super::contract::{self, Exports};
use super::engine::RuntimeEngine;
use super::error::LoadError;
use super::imports;
use super::state::State;

/// A component that can be instantiated, and its exports.
pub(super) struct LinkedPolicy {
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Box<dyn Exports>,
}

impl LinkedPolicy {
    /// Links a component on the engine that compiled it.
    ///
    /// # Errors
    ///
    /// When it imports or exports anything that is not in the contract.
    pub(super) fn new(engine: &RuntimeEngine, component: &Component) -> Result<Self, LoadError> {
        let wrong = |error: wasmtime::Error| LoadError::WrongWorld(format!("{error:#}"));
        let linker = imports::for_component(&engine.linker, &engine.engine, component)?;
        let pre = linker.instantiate_pre(component).map_err(wrong)?;
        let exports = contract::find_exports(&pre).map_err(wrong)?;
        Ok(Self { pre, exports })
    }
}
