//! What to charge to one counter.

use std::borrow::Cow;

/// Units to charge to one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Name of the counter.
    pub counter: String,
    /// Units: messages or recipients.
    pub amount: u64,
    /// Daily limit of the counter. `None` counts without a limit.
    pub maximum: Option<u64>,
}

/// One request for each counter: several requests for a counter are added up
/// under the lowest limit.
pub(super) fn merged(requests: &[ChargeRequest]) -> Cow<'_, [ChargeRequest]> {
    let twice = |at: usize| {
        requests[..at]
            .iter()
            .any(|earlier| earlier.counter == requests[at].counter)
    };
    if !(1..requests.len()).any(twice) {
        return Cow::Borrowed(requests);
    }
    let mut merged: Vec<ChargeRequest> = Vec::with_capacity(requests.len());
    for request in requests {
        match merged
            .iter_mut()
            .find(|earlier| earlier.counter == request.counter)
        {
            None => merged.push(request.clone()),
            Some(earlier) => {
                earlier.amount = earlier.amount.saturating_add(request.amount);
                earlier.maximum = match (earlier.maximum, request.maximum) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
    Cow::Owned(merged)
}
