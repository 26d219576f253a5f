//! `waxseal:policy@0.1.0`.

mod bindings;
mod convert;
mod host;

use wasmtime::component::{HasSelf, Instance, InstancePre, Linker, Resource};
use wasmtime::{Result, Store};

use self::bindings::exports::waxseal::policy::setup;
use self::bindings::waxseal::policy::types;
use self::host::{FactsHandle, MessageHandle};
use super::export::Export;
use crate::decision::Decision;
use crate::runtime::describe::{Configured, Description};
use crate::runtime::error::{PolicyError, SettingsProblem};
use crate::runtime::run;
use crate::runtime::state::State;

/// Its functions are called before a policy decides, and never after.
pub(super) const SETUP: &str = "waxseal:policy/setup@0.1.0";

const HANDLER: &str = "waxseal:policy/handler@0.1.0";

type Decide = Export<
    (Resource<MessageHandle>, Resource<FactsHandle>),
    (std::result::Result<types::Decision, String>,),
>;

/// What policies of this version import.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    bindings::Policy::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Where the exports are in a component. Those of `setup` are called once; their
/// types are compared then.
pub(in crate::runtime) struct Exports {
    setup: setup::GuestIndices,
    decide: Decide,
}

impl Exports {
    pub(super) fn find(pre: &InstancePre<State>) -> Result<Self> {
        Ok(Self {
            setup: setup::GuestIndices::new(pre)?,
            decide: Decide::find(pre, HANDLER, "decide")?,
        })
    }

    pub(super) async fn describe(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<Description> {
        let setup = self.setup.load(&mut *store, instance)?;
        let given = setup.call_describe(&mut *store).await?;
        Ok(convert::description(given))
    }

    pub(super) async fn configure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        settings: &str,
    ) -> Result<std::result::Result<Configured, Vec<SettingsProblem>>> {
        let setup = self.setup.load(&mut *store, instance)?;
        let answer = setup.call_configure(&mut *store, settings).await?;
        Ok(match answer {
            Ok(given) => Ok(convert::configured(given, settings)),
            Err(given) => Err(convert::problems(given, settings)),
        })
    }

    pub(super) async fn configure_again(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        settings: &str,
    ) -> Result<bool> {
        let setup = self.setup.load(&mut *store, instance)?;
        Ok(setup.call_configure(&mut *store, settings).await?.is_ok())
    }

    pub(super) async fn decide(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<std::result::Result<Decision, PolicyError>> {
        let decide = self.decide.of(store, instance)?;
        let message = Resource::new_borrow(host::HANDLE);
        let facts = Resource::new_borrow(host::HANDLE);
        let (answer,) = decide.call_async(&mut *store, (message, facts)).await?;
        Ok(match answer {
            Ok(given) => convert::decision(given),
            Err(text) => Err(PolicyError::Reported(run::brief(&text))),
        })
    }
}
