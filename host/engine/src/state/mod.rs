//! State that outlives the process, behind interfaces that any backend can
//! implement.
//!
//! [`open`] is the one place that knows which backends there are. Each backend
//! has a folder of its own (`sqlite/`) and passes the conformance suite
//! (`conformance.rs`). To add one: a folder, a value of [`StateOptions`], an arm
//! in [`open`] and [`open_read_only`], a test that runs the suite.

#[cfg(test)]
pub(crate) mod conformance;
mod counters;
mod error;
mod lease;
mod open;
pub mod sqlite;

pub use counters::{CounterDelta, CounterStore, Usage};
pub use error::{StateError, StateErrorKind};
pub use lease::LeaseRequest;
pub use open::{State, StateOptions, open, open_read_only};
