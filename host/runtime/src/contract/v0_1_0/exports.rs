//! Calls of the exports of a policy.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker, Resource};
use wasmtime::error::Context as _;
use wasmtime::{Result, Store, format_err};

use super::bindings::Policy;
use super::bindings::exports::waxseal::policy::{handler, setup};
use super::bindings::waxseal::policy::types;
use super::convert;
use super::handles::{FactsHandle, HANDLE, MessageHandle};
use crate::call;
use crate::contract::exports::{Call, ConfigureResult, DecideResult, Exports, setup_functions};
use crate::describe::Description;
use crate::error::PolicyError;
use crate::state::State;

/// The interface whose functions are called during setup only.
pub(in crate::contract) const SETUP: &str = "waxseal:policy/setup@0.1.0";

const HANDLER: &str = "waxseal:policy/handler@0.1.0";

/// Adds the imports of this version.
pub(in crate::contract) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    Policy::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// The exports of a component.
pub(in crate::contract) struct PolicyExports {
    setup: setup::GuestIndices,
    handler: handler::GuestIndices,
}

impl PolicyExports {
    pub(in crate::contract) fn find(pre: &InstancePre<State>) -> Result<Self> {
        let setup = setup::GuestIndices::new(pre)?;
        let handler = handler::GuestIndices::new(pre)?;
        check_decide(pre)?;
        Ok(Self { setup, handler })
    }
}

/// Checks the type of `decide`. The generated code checks it in each instance again,
/// but a policy of another type must fail when it is loaded.
fn check_decide(pre: &InstancePre<State>) -> Result<()> {
    type Parameters = (Resource<MessageHandle>, Resource<FactsHandle>);
    type Results = (std::result::Result<types::Decision, String>,);
    let component = pre.component();
    let interface = component
        .get_export_index(None, HANDLER)
        .ok_or_else(|| format_err!("no exported interface `{HANDLER}`"))?;
    let (item, _) = component
        .get_export(Some(&interface), "decide")
        .ok_or_else(|| format_err!("no function `decide` in `{HANDLER}`"))?;
    let ComponentItem::ComponentFunc(decide) = item else {
        return Err(format_err!("`decide` of `{HANDLER}` is not a function"));
    };
    decide
        .typecheck::<Parameters, Results>(&pre.instance_type())
        .with_context(|| format!("type mismatch of `decide` in `{HANDLER}`"))
}

impl Exports for PolicyExports {
    fn setup_functions(&self) -> Vec<String> {
        setup_functions(SETUP)
    }

    fn describe<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
    ) -> Call<'a, Description> {
        Box::pin(async move {
            let setup = self.setup.load(&mut *store, instance)?;
            let given = setup.call_describe(&mut *store).await?;
            Ok(convert::description(given))
        })
    }

    fn configure<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
        settings: &'a str,
    ) -> Call<'a, ConfigureResult> {
        Box::pin(async move {
            let setup = self.setup.load(&mut *store, instance)?;
            let answer = setup.call_configure(&mut *store, settings).await?;
            Ok(match answer {
                Ok(given) => Ok(convert::configured(given, settings)),
                Err(given) => Err(convert::problems(given, settings)),
            })
        })
    }

    fn decide<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
    ) -> Call<'a, DecideResult> {
        Box::pin(async move {
            let handler = self.handler.load(&mut *store, instance)?;
            let message = Resource::new_borrow(HANDLE);
            let facts = Resource::new_borrow(HANDLE);
            let answer = handler.call_decide(&mut *store, message, facts).await?;
            Ok(match answer {
                Ok(given) => convert::decision(given),
                Err(text) => Err(PolicyError::Reported(call::brief(&text))),
            })
        })
    }
}
