//! A charge that is refunded unless the message was delivered.

use std::fmt;
use std::sync::Arc;

use crate::quota::{Ledger, Receipt};

/// The charge of a message. Dropping it refunds the charge; [`confirm`](Self::confirm) makes it permanent.
#[must_use = "dropping a charge refunds it"]
pub struct ChargeGuard {
    /// `None` after it was confirmed, or if nothing was charged.
    held: Option<(Arc<dyn Ledger>, Receipt)>,
}

impl ChargeGuard {
    pub(super) fn new(ledger: Arc<dyn Ledger>, receipt: Receipt) -> Self {
        Self {
            held: Some((ledger, receipt)),
        }
    }

    /// No charge.
    pub(super) fn none() -> Self {
        Self { held: None }
    }

    /// Makes the charge permanent: the reply was written, or the next server accepted the message.
    pub fn confirm(mut self) {
        self.held = None;
    }
}

impl Drop for ChargeGuard {
    fn drop(&mut self) {
        if let Some((ledger, receipt)) = self.held.take() {
            ledger.refund(receipt);
        }
    }
}

impl fmt::Debug for ChargeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeGuard").finish_non_exhaustive()
    }
}
