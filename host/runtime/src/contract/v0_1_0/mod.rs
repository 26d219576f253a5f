//! `waxseal:policy@0.1.0`.

mod bindings;
mod convert;
mod exports;
mod handles;
mod host;

#[cfg(test)]
pub(super) use exports::SETUP;
pub(super) use exports::{PolicyExports, add_to_linker};
