//! An exported function whose types are compared once, when it is found.
//!
//! What the bindings offer for the functions of an interface compares them in
//! each instance again: a sixteenth of a small decision.

use std::marker::PhantomData;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::error::Context as _;
use wasmtime::{Result, Store, format_err};

use crate::runtime::state::State;

/// Where a function is in a component, and that it takes `P` and gives `R`.
pub(super) struct Export<P, R> {
    index: ComponentExportIndex,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Export<P, R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    /// Finds a function of an interface.
    ///
    /// # Errors
    ///
    /// When it is not there, or has other types.
    pub(super) fn find(pre: &InstancePre<State>, interface: &str, function: &str) -> Result<Self> {
        let component = pre.component();
        let within = component
            .get_export_index(None, interface)
            .ok_or_else(|| format_err!("it exports no interface `{interface}`"))?;
        let (item, index) = component
            .get_export(Some(&within), function)
            .ok_or_else(|| format_err!("`{interface}` has no function `{function}`"))?;
        let ComponentItem::ComponentFunc(found) = item else {
            return Err(format_err!("`{function}` of `{interface}` is no function"));
        };
        // What the bindings do with the functions of a world itself.
        found
            .typecheck::<P, R>(&pre.instance_type())
            .with_context(|| format!("`{function}` of `{interface}` has other types"))?;
        Ok(Self {
            index,
            types: PhantomData,
        })
    }

    /// The function in an instance of that component.
    ///
    /// # Errors
    ///
    /// When it is an instance of another one.
    pub(super) fn of(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<TypedFunc<P, R>> {
        let function = instance
            .get_func(store, self.index)
            .ok_or_else(|| format_err!("an instance of another component"))?;
        // SAFETY: an `Export` is made by `find` alone, which has compared these
        // very types, as they are in each instance of the component: an index is
        // found in no instance of another. The resources among them are the
        // linker's, and all linkers have the same of ours (`add_to_linker`).
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }
}
