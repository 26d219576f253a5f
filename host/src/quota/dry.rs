//! Charges that change nothing: for `waxseal try`, and for policy tests with
//! counters of their own.

use std::collections::HashMap;

use super::live::merged;
use super::{Charge, ChargeError, Day, Draw, Ledger, Receipt};
use crate::state::{CounterStore, StateError};

/// Looks whether counters have room, and leaves them as they are.
///
/// It goes by what was spent, not by what hosts have taken in advance: a
/// running daemon still has those units for the message that is tried.
#[derive(Clone, Debug, Default)]
pub struct Dry {
    spent: HashMap<String, u64>,
}

impl Dry {
    /// Reads what a store says of a day. Charges of other days are looked at in
    /// the same counts.
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

    /// Counters that say what is given here; all others say zero.
    pub fn with(spent: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self {
            spent: spent.into_iter().collect(),
        }
    }

    fn spent(&self, counter: &str) -> u64 {
        self.spent.get(counter).copied().unwrap_or(0)
    }
}

impl Dry {
    fn check(&self, day: &Day, draws: &[Draw]) -> Result<Receipt, ChargeError> {
        for draw in merged(draws).iter() {
            match draw.maximum {
                Some(maximum)
                    if self.spent(&draw.counter).saturating_add(draw.amount) > maximum =>
                {
                    return Err(ChargeError::Full {
                        counter: draw.counter.clone(),
                        maximum,
                        starts_afresh: day.starts_afresh(),
                    });
                }
                _ => {}
            }
        }
        Ok(Receipt::default())
    }
}

impl Ledger for Dry {
    fn charge(&self, day: &Day, draws: &[Draw]) -> Charge {
        Charge::ready(self.check(day, draws))
    }

    fn refund(&self, _: Receipt) {}

    fn used(&self, _: &Day, counter: &str) -> u64 {
        self.spent(counter)
    }
}
