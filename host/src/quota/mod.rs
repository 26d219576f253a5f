//! Daily maxima (R5, R11, R12).
//!
//! A message is charged to all its counters or to none, before it is let
//! through. [`LeasedLedger`] charges in memory, from units that it has taken from a
//! [`CounterStore`](crate::state::CounterStore) beforehand; [`ReadOnlyLedger`] only looks. Both are a
//! [`Ledger`], so that what tries a message runs as what sends it.

mod charge;
mod counter_cache;
mod day;
mod lease_worker;
mod leased;
mod ledger;
mod read_only;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use thiserror::Error;

use crate::decision::RELAY_COUNTERS;
use crate::state::StateError;

pub use charge::Charge;
pub use day::Day;
pub use leased::LeasedLedger;
pub use ledger::Ledger;
pub use read_only::ReadOnlyLedger;

/// Name of the counter of messages that the default route takes.
pub use crate::decision::DEFAULT_ROUTE_COUNTER as DEFAULT_ROUTE;

/// Name of the counter of messages that a relay takes.
pub fn relay_counter(relay: &str) -> String {
    format!("{RELAY_COUNTERS}{relay}")
}

/// Units to charge to one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Name of the counter.
    pub counter: String,
    /// Units: messages or recipients.
    pub amount: u64,
    /// Most units in a day; none counts without a limit.
    pub maximum: Option<u64>,
}

/// What a charge took. Dropping it leaves the charge as it is;
/// [`Ledger::refund`] undoes it.
#[must_use = "a charge is undone with its receipt"]
#[derive(Debug, Default)]
pub struct Receipt {
    day: Option<Date>,
    items: Vec<ChargedItem>,
}

#[derive(Debug)]
struct ChargedItem {
    counter: Arc<str>,
    amount: u64,
    /// Which of the leases of the counter the units came from.
    lease: u32,
}

/// Why nothing was charged.
#[derive(Clone, Debug, Error)]
pub enum ChargeError {
    /// A counter has no room.
    #[error(
        "the daily maximum of {maximum} for {counter} is reached; it starts afresh at {resets_at}"
    )]
    Full {
        /// Name of the counter.
        counter: String,
        /// Its maximum.
        maximum: u64,
        /// When it starts afresh.
        resets_at: Timestamp,
    },
    /// Policies have made as many new counters today as they may.
    #[error(
        "{limit} new counters were made today, and {counter} would be one more (limits.new-counters)"
    )]
    TooManyCounters {
        /// Name of the counter that was not made.
        counter: String,
        /// How many may be made.
        limit: u64,
    },
    /// The state cannot be read or written.
    #[error("nothing can be counted: {0}")]
    Store(Arc<StateError>),
    /// The ledger has been closed.
    #[error("nothing is counted any more: waxseal is stopping")]
    Closed,
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The thread that writes the counters cannot be started.
    #[error("cannot start the thread that writes the counters: {0}")]
    Thread(std::io::Error),
}
