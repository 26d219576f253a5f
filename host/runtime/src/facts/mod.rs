//! Facts for a decision: the trait, static values, and the trace of a decision's
//! queries, recorded and replayed.

mod provider;
mod replay;
mod static_facts;
mod trace;

pub use provider::Facts;
pub use replay::{FactQuery, ReplayedFacts};
pub use static_facts::StaticFacts;
pub use trace::{FactTrace, RecordingFacts};
