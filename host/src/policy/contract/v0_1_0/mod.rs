//! `waxseal:policy@0.1.0`.

mod bindings;
mod convert;
mod host;

use wasmtime::component::{HasSelf, Instance, InstancePre, Linker, Resource};
use wasmtime::{Result, Store};

use self::bindings::exports::waxseal::policy::{handler, setup};
use crate::decision::Decision;
use crate::policy::describe::{Configured, Description};
use crate::policy::error::{PolicyError, SettingsProblem};
use crate::policy::run;
use crate::policy::state::State;

/// Its functions are called before a policy decides, and never after.
pub(super) const SETUP: &str = "waxseal:policy/setup@0.1.0";

/// What policies of this version import.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    bindings::Policy::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Where the two interfaces are in a component. Each is looked up in an instance
/// by itself: that compares all its types, and most decisions call nothing of
/// `setup`.
pub(in crate::policy) struct Exports {
    setup: setup::GuestIndices,
    handler: handler::GuestIndices,
}

impl Exports {
    pub(super) fn find(pre: &InstancePre<State>) -> Result<Self> {
        Ok(Self {
            setup: setup::GuestIndices::new(pre)?,
            handler: handler::GuestIndices::new(pre)?,
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
        self.handler.load(&mut *store, instance)?;
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
        let handler = self.handler.load(&mut *store, instance)?;
        let message = Resource::new_borrow(host::HANDLE);
        let facts = Resource::new_borrow(host::HANDLE);
        let answer = handler.call_decide(&mut *store, message, facts).await?;
        Ok(match answer {
            Ok(given) => convert::decision(given),
            Err(text) => Err(PolicyError::Reported(run::brief(&text))),
        })
    }
}
