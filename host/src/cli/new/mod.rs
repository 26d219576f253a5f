//! `waxseal new`: a policy that builds, with tests that pass.
//!
//! The project has all that it needs: the contract, the kit of its language,
//! sample mail and a test file. A folder that exists is never written to; where
//! writing fails, what was written is taken away again.

mod files;
mod language;
mod project;

pub(super) use project::{Arguments, run};
