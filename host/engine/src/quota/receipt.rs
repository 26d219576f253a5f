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
