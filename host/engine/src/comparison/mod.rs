//! Comparison of two policy versions on the same messages: what a shadow run and
//! a replay have in common.

pub mod diff;
mod event;
mod result;

pub use event::{ByteBudget, OwnedDecisionEvent, QueuedEvent};
pub use result::RecordedResult;
