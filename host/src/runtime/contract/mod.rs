//! The versions of the contract that are served, one module each.
//!
//! Only what is in a version's module knows its generated types: they are
//! converted there, once, to and from the types of [`decision`](crate::decision)
//! and of this module's neighbours, which are the same for all versions.
//! `docs/wit-versions.md` says how one is added.

mod export;
mod v0_1_0;

use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime::{Result, Store};

use super::describe::{Configured, Description};
use super::error::{PolicyError, SettingsProblem};
use super::state::State;
use crate::decision::Decision;

/// Versions of `waxseal:policy` that are served, from the oldest. Each has its
/// text in `wit/frozen` and a component among the fixtures of the tests.
pub const CONTRACT_VERSIONS: [&str; 1] = ["0.1.0"];

/// The package that all versions are versions of.
pub(super) const PACKAGE: &str = "waxseal:policy/";

/// What policies import, of every version.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    v0_1_0::add_to_linker(linker)
}

/// Where the exports of a policy are in its component, and of which version they
/// are.
pub(super) enum Exports {
    V0_1_0(v0_1_0::Exports),
}

impl Exports {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// What is missing, or that `decide` has other types. With more versions
    /// than one, of the newest.
    pub(super) fn find(pre: &InstancePre<State>) -> Result<Self> {
        v0_1_0::Exports::find(pre).map(Self::V0_1_0)
    }

    /// What the component tools call the functions of a module that are behind
    /// `describe` and `configure`.
    pub(super) fn of_setup(&self) -> Vec<String> {
        match self {
            Self::V0_1_0(_) => core_functions(v0_1_0::SETUP),
        }
    }

    /// Asks the policy what it is.
    pub(super) async fn describe(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<Description> {
        match self {
            Self::V0_1_0(exports) => exports.describe(store, instance).await,
        }
    }

    /// Gives the policy its settings: what came of it, or what is wrong with
    /// them.
    pub(super) async fn configure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        settings: &str,
    ) -> Result<std::result::Result<Configured, Vec<SettingsProblem>>> {
        match self {
            Self::V0_1_0(exports) => exports.configure(store, instance, settings).await,
        }
    }

    /// Gives the policy its settings again, where they could not be baked in:
    /// whether it took them.
    pub(super) async fn configure_again(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        settings: &str,
    ) -> Result<bool> {
        match self {
            Self::V0_1_0(exports) => exports.configure_again(store, instance, settings).await,
        }
    }

    /// Asks for the decision on the store's message; or the policy's own error,
    /// or what of the decision cannot be carried out.
    pub(super) async fn decide(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<std::result::Result<Decision, PolicyError>> {
        match self {
            Self::V0_1_0(exports) => exports.decide(store, instance).await,
        }
    }
}

fn core_functions(setup: &str) -> Vec<String> {
    let both = ["describe", "configure"].map(|function| format!("{setup}#{function}"));
    let after = both
        .each_ref()
        .map(|function| format!("cabi_post_{function}"));
    both.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;
    use crate::runtime::strip_setup::strip_setup;

    fn bytes_of_code(component: &[u8]) -> usize {
        let mut bytes = 0;
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::CodeSectionEntry(body) = payload.expect("a component") {
                bytes += body.as_bytes().len();
            }
        }
        bytes
    }

    #[test]
    fn r29_the_functions_of_setup_are_found_in_a_component_of_each_version() {
        for (version, setup) in CONTRACT_VERSIONS.iter().zip([v0_1_0::SETUP]) {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
            let witness = std::fs::read(format!("{folder}/witness-{version}.wasm"));
            let witness = witness.expect("a frozen component");
            let stripped = strip_setup(&witness, &core_functions(setup)).expect("stripped");
            let (whole, left) = (bytes_of_code(&witness), bytes_of_code(&stripped));
            assert!(left < whole, "{version}: {left} of {whole}");
            let same = strip_setup(&witness, &core_functions("other")).expect("the same");
            assert_eq!(bytes_of_code(&same), whole, "{version}");
        }
    }
}
