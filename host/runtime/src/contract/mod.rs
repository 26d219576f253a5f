//! The supported versions of the contract `waxseal:policy`, one module each.
//!
//! Only a version's module sees its generated types. It converts them, at the
//! boundary, to and from the types of [`decision`](waxseal_core::decision) and of
//! [`runtime`](crate), which are the same for all versions.
//! `docs/wit-versions.md` describes how to add a version.

mod exports;
mod supported;
mod v0_1_0;
mod versions;

pub(super) use exports::Exports;
pub use supported::CONTRACT_VERSIONS;
pub(super) use supported::{PACKAGE, worlds};
pub(super) use versions::{add_to_linker, find_exports};
