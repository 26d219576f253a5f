//! The ledger that changes nothing, for `waxseal try` and for policy tests.

use std::collections::HashMap;

use super::request::merged;
use super::{Charge, ChargeError, ChargeRequest, Day, Ledger, Receipt};
use crate::state::{CounterStore, StateError};

/// Checks charges against limits and charges nothing.
///
/// It compares what was spent, not what was leased: a running daemon still has
/// the leased units for the message that is tried.
#[derive(Clone, Debug, Default)]
pub struct ReadOnlyLedger {
    spent: HashMap<String, u64>,
}

impl ReadOnlyLedger {
    /// Reads the counters of a day. Charges of any day are checked against them.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn read(store: &dyn CounterStore, day: &Day) -> Result<Self, StateError> {
        let usage = store.usage(day.date())?;
        Ok(Self::with(
            usage
                .into_iter()
                .map(|(counter, usage)| (counter, usage.spent)),
        ))
    }

    /// Counters with these values; all others are zero.
    pub fn with(spent: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self {
            spent: spent.into_iter().collect(),
        }
    }

    fn spent(&self, counter: &str) -> u64 {
        self.spent.get(counter).copied().unwrap_or(0)
    }
}

impl ReadOnlyLedger {
    fn check(&self, day: &Day, requests: &[ChargeRequest]) -> Result<Receipt, ChargeError> {
        for request in merged(requests).iter() {
            match request.maximum {
                Some(maximum)
                    if self.spent(&request.counter).saturating_add(request.amount) > maximum =>
                {
                    return Err(ChargeError::Full {
                        counter: request.counter.clone(),
                        maximum,
                        resets_at: day.resets_at(),
                    });
                }
                _ => {}
            }
        }
        Ok(Receipt::default())
    }
}

impl Ledger for ReadOnlyLedger {
    fn charge(&self, day: &Day, requests: &[ChargeRequest]) -> Charge {
        Charge::ready(self.check(day, requests))
    }

    fn refund(&self, _: Receipt) {}

    fn used(&self, _: &Day, counter: &str) -> u64 {
        self.spent(counter)
    }
}
