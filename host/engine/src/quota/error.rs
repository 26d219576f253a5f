//! Errors of ledgers.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::state::StateError;

/// Why nothing was charged.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChargeError {
    /// A counter has reached its limit.
    #[error("the daily limit of {maximum} for {counter} is reached; it resets at {resets_at}")]
    Full {
        /// Name of the counter.
        counter: String,
        /// Its limit.
        maximum: u64,
        /// When the counter resets.
        resets_at: Timestamp,
    },
    /// Policies have created as many counters today as `limits.new-counters`
    /// allows.
    #[error(
        "cannot create counter {counter}: the {limit} new counters of today are used (limits.new-counters)"
    )]
    TooManyCounters {
        /// Name of the counter that was not created.
        counter: String,
        /// How many may be created.
        limit: u64,
    },
    /// The state cannot be read or written.
    #[error("cannot charge the message: {0}")]
    Store(Arc<StateError>),
    /// The ledger is closed.
    #[error("cannot charge the message: waxseal is stopping")]
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
    Thread(io::Error),
}
