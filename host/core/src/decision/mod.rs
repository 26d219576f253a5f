//! A policy's decision as plain data, without Wasm and without I/O.
//!
//! A decision can be compared, stored, replayed and asserted. It names relays,
//! domains and counters; the pipeline resolves these names.

pub mod bounds;
pub mod compare;
mod error;
mod types;
mod validate;

pub use error::InvalidDecision;
pub use types::{
    AuthorRewrite, Charge, DEFAULT_ROUTE_COUNTER, Decision, Disclaimer, HeaderChange, HeaderField,
    Hop, Mailbox, Placement, RELAY_COUNTERS, Reply, ReturnPathChoice, Unit, Verdict, WhenFull,
    is_host_counter,
};
pub use validate::validate;
