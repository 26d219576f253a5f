//! `waxseal:policy@0.1.0`.

pub(in crate::policy) mod bindings;
pub(in crate::policy) mod convert;
pub(in crate::policy) mod host;

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

use crate::policy::state::State;

/// What policies of this version import.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    bindings::Policy::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
