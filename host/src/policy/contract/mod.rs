//! The versions of the contract that are served, one module each.
//!
//! Only what is in a version's module knows its generated types: they are
//! converted there, once, to and from the types of [`decision`](crate::decision)
//! and of this module's neighbours, which are the same for all versions.
//! `docs/wit-versions.md` says how one is added.

pub(super) mod v0_1_0;

use wasmtime::Result;
use wasmtime::component::Linker;

use super::state::State;

/// Versions of `waxseal:policy` that are served, from the oldest. Each has its
/// text in `wit/frozen` and a component among the fixtures of the tests.
pub const CONTRACT_VERSIONS: [&str; 1] = ["0.1.0"];

/// The package that all versions are versions of.
pub(super) const PACKAGE: &str = "waxseal:policy/";

/// What policies import, of every version.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    v0_1_0::add_to_linker(linker)
}
