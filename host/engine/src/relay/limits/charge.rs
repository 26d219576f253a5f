//! The charge of one attempt.

use std::fmt;
use std::sync::Arc;

use super::RelayLimits;
use crate::quota::{ChargeError, Day, Ledger, Receipt, relay_recipient_counter};

/// Charges a relay for a message that it is about to get, for this number of
/// recipients.
///
/// # Errors
///
/// When a limit has no room, or the store fails. Nothing is charged then.
pub async fn charge(
    ledger: &Arc<dyn Ledger>,
    day: &Day,
    relay: &str,
    limits: &RelayLimits,
    recipients: u64,
) -> Result<RelayCharge, ChargeError> {
    let requests = limits.requests(relay, day.date(), recipients);
    let receipt = ledger.charge(day, &requests).await?;
    Ok(RelayCharge {
        held: Some((ledger.clone(), receipt)),
        recipient_counter: relay_recipient_counter(relay),
        recipients,
    })
}

/// What a relay was charged for a message. Dropping it gives everything back;
/// [`keep`](Self::keep) keeps what the relay took.
#[must_use = "dropping a charge gives it back"]
pub struct RelayCharge {
    /// `None` once it is kept.
    held: Option<(Arc<dyn Ledger>, Receipt)>,
    recipient_counter: String,
    recipients: u64,
}

impl RelayCharge {
    /// Keeps the charge for as many recipients as the relay took the message for, or
    /// may have taken it for. With none, everything is given back.
    pub fn keep(mut self, taken: u64) {
        if taken == 0 {
            return;
        }
        if let Some((ledger, mut receipt)) = self.held.take() {
            let not_taken = self.recipients.saturating_sub(taken);
            ledger.refund(receipt.split_off(&self.recipient_counter, not_taken));
        }
    }
}

impl Drop for RelayCharge {
    fn drop(&mut self) {
        if let Some((ledger, receipt)) = self.held.take() {
            ledger.refund(receipt);
        }
    }
}

impl fmt::Debug for RelayCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayCharge").finish_non_exhaustive()
    }
}
