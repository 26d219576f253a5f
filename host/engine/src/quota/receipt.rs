//! The record of a charge, which undoes it.

use std::sync::Arc;

use jiff::civil::Date;

/// What a charge took. [`Ledger::refund`](super::Ledger::refund) undoes it;
/// dropping a receipt leaves the charge as it is.
#[must_use = "a receipt is needed to undo its charge"]
#[derive(Debug, Default)]
pub struct Receipt {
    pub(super) day: Option<Date>,
    pub(super) items: Vec<ChargedItem>,
}

/// The charge of one counter.
#[derive(Debug)]
pub(super) struct ChargedItem {
    pub(super) counter: Arc<str>,
    pub(super) amount: u64,
    /// Number of the lease that the units came from.
    pub(super) lease: u32,
}

impl Receipt {
    /// Takes units of a counter out of a receipt, to refund them alone: at most as many
    /// as it has. What remains stays charged.
    pub fn split_off(&mut self, counter: &str, amount: u64) -> Self {
        let mut left = amount;
        let mut items = Vec::new();
        for item in self
            .items
            .iter_mut()
            .filter(|item| &*item.counter == counter)
        {
            let amount = item.amount.min(left);
            left -= amount;
            item.amount -= amount;
            if amount > 0 {
                items.push(ChargedItem {
                    counter: item.counter.clone(),
                    amount,
                    lease: item.lease,
                });
            }
        }
        Self {
            day: self.day,
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r35_units_are_split_off_up_to_what_was_charged() {
        let item = |counter: &str, amount| ChargedItem {
            counter: counter.into(),
            amount,
            lease: 7,
        };
        let mut receipt = Receipt {
            day: Some(jiff::civil::date(2026, 11, 21)),
            items: vec![item("a", 1), item("b", 5)],
        };
        let amounts = |receipt: &Receipt| -> Vec<(String, u64, u32)> {
            let items = receipt.items.iter();
            items
                .map(|item| (item.counter.to_string(), item.amount, item.lease))
                .collect()
        };
        let split = receipt.split_off("b", 2);
        assert_eq!(amounts(&split), [("b".to_owned(), 2, 7)]);
        assert_eq!(split.day, receipt.day);
        assert_eq!(
            amounts(&receipt.split_off("b", 9)),
            [("b".to_owned(), 3, 7)]
        );
        assert!(receipt.split_off("b", 1).items.is_empty());
        assert!(receipt.split_off("c", 1).items.is_empty());
        assert_eq!(receipt.items[0].amount, 1);
    }
}
