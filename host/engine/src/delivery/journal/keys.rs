//! The keys of a message's deliveries.

use std::collections::HashMap;

use crate::delivery::plan::PlanNonce;
use crate::state::DeliveryKey;

/// The keys of a message's deliveries, in the order of its recipients. A recipient that
/// comes several times has as many.
pub fn delivery_keys<'a>(
    nonce: PlanNonce,
    recipients: impl IntoIterator<Item = &'a str>,
) -> Vec<DeliveryKey> {
    let mut seen = HashMap::<&str, u32>::new();
    let key = |recipient| {
        let next = seen.entry(recipient).or_default();
        let position = *next;
        *next += 1;
        DeliveryKey::new(nonce.0, recipient, position)
    };
    recipients.into_iter().map(key).collect()
}
