//! The exports of a policy, independent of the version of the contract.

use std::pin::Pin;

use wasmtime::component::Instance;
use wasmtime::{Result, Store};

use crate::describe::{Configured, Description};
use crate::error::{PolicyError, SettingsProblem};
use crate::state::State;
use waxseal_core::decision::Decision;

/// A pending call of an export; the outer error is wasmtime's.
pub(crate) type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What `configure` returns.
pub(crate) type ConfigureResult = std::result::Result<Configured, Vec<SettingsProblem>>;

/// What `decide` returns: the decision; or the policy's error, or the reason why its
/// decision is invalid.
pub(crate) type DecideResult = std::result::Result<Decision, PolicyError>;

/// The functions that a policy exports.
pub(crate) trait Exports: Send + Sync {
    /// Names, in the core module, of the functions behind `describe` and
    /// `configure`.
    fn setup_functions(&self) -> Vec<String>;

    /// Calls `describe`.
    fn describe<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
    ) -> Call<'a, Description>;

    /// Calls `configure`.
    fn configure<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
        settings: &'a str,
    ) -> Call<'a, ConfigureResult>;

    /// Calls `decide` for the store's message.
    fn decide<'a>(
        &'a self,
        store: &'a mut Store<State>,
        instance: &'a Instance,
    ) -> Call<'a, DecideResult>;
}

/// The names that the component tools give the functions of an interface with
/// `describe` and `configure` in the core module, post-return functions included.
pub(super) fn setup_functions(interface: &str) -> Vec<String> {
    let both = ["describe", "configure"].map(|function| format!("{interface}#{function}"));
    let post_return = both
        .each_ref()
        .map(|function| format!("cabi_post_{function}"));
    both.into_iter().chain(post_return).collect()
}
