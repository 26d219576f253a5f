//! The interface through which messages are charged.

use super::{Charge, ChargeRequest, Day, Receipt};

/// Counters that messages are charged to. Shared as `Arc<dyn Ledger>`.
pub trait Ledger: Send + Sync + 'static {
    /// Charges a message to all counters, or to none. A ledger that can answer
    /// from memory returns [`Charge::ready`], which allocates nothing.
    ///
    /// The result is an error when a counter has no room or the store fails.
    fn charge(&self, day: &Day, requests: &[ChargeRequest]) -> Charge;

    /// Undoes a charge: the relay did not take the message, or the reply was
    /// not written.
    fn refund(&self, receipt: Receipt);

    /// Units of a counter that are spent, from memory: exact for what this
    /// ledger charged, up to a second old for what other processes charged.
    fn used(&self, day: &Day, counter: &str) -> u64;
}
