//! Worker threads for all processing of message content, separate from the threads
//! that serve sockets.
//!
//! A message is processed as one job ([`Pool::run`]), on one of two groups of
//! threads:
//!
//! - **Quick**: as many threads as processors. Work on the message runs there within
//!   [`QUICK_STEPS`]. Work that exceeds them is pure, so it is restarted on the slow
//!   threads ([`compute`]).
//! - **Slow**: more threads, at low priority, for messages of more than [`LARGE`] bytes
//!   and for work that took too long on the quick threads.
//!
//! The deadline of a job covers everything from its submission to its result,
//! waiting for a thread included. Metered work ([`work`](waxseal_core::work)) stops at the
//! deadline by itself, and so does [`in_time`]. A job that does neither is aborted
//! shortly after ([`DeadlineExceeded`]). A job whose future is dropped is canceled: its
//! work stops at the next check, and it refunds what it charged.
//!
//! Outside of a job, [`compute`] and [`in_time`] have no bounds.

mod executor;
mod job;
mod workers;

pub use executor::{LowPriorityExecutor, on_low_priority_thread};
pub use job::{QUICK_STEPS, bounds, compute, in_time};
pub use workers::{DeadlineExceeded, JobLimits, LARGE, Pool};

#[cfg(test)]
mod tests;
