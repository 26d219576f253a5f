//! Daily limits: charging messages to counters (R5, R11, R12).
//!
//! A message is charged to all its counters or to none, before it is accepted.
//! [`LeasedLedger`] charges in memory, from units that it leased from a
//! [`CounterStore`](crate::state::CounterStore) beforehand; [`ReadOnlyLedger`]
//! checks limits and changes nothing. Both are a [`Ledger`], so that a trial
//! takes the same path as a message that is sent.

mod charge;
mod counter_cache;
mod day;
mod error;
mod lease_worker;
mod leased;
mod ledger;
mod names;
mod read_only;
mod receipt;
mod request;
#[cfg(all(test, feature = "sqlite"))]
mod tests;

pub use charge::Charge;
pub use day::Day;
pub use error::{ChargeError, LedgerError};
pub use leased::LeasedLedger;
pub use ledger::Ledger;
pub use names::{DEFAULT_ROUTE, relay_counter, relay_recipient_counter};
pub use read_only::ReadOnlyLedger;
pub use receipt::Receipt;
pub use request::ChargeRequest;
