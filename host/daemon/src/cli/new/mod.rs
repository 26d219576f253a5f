//! `waxseal new`: a new policy project that builds and whose tests pass.
//!
//! The project contains the contract, the SDK of its language, sample mail and a
//! test file. An existing folder is never written to; after a write error, the
//! files written so far are removed.

mod files;
mod language;
mod project;

pub(super) use project::{Arguments, run};
