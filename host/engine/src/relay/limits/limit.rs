//! The limits of a relay.

use jiff::civil::Date;

use crate::quota::{ChargeRequest, relay_counter, relay_recipient_counter};

/// The limits of a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayLimits {
    /// Of messages.
    pub messages: Option<DailyLimit>,
    /// Of recipients.
    pub recipients: Option<DailyLimit>,
}

/// What may be sent in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyLimit {
    /// The limit once the relay is warm; `None` is no limit.
    pub maximum: Option<u64>,
    /// Lower limits of the first days.
    pub warm_up: Option<WarmUp>,
}

/// A limit that grows from day to day: large receivers distrust an address that
/// suddenly sends much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// The first day. The limit of that day applies before it, too.
    pub first_day: Date,
    /// How it grows.
    pub growth: Growth,
}

/// How a limit grows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Growth {
    /// The limits of the first days. After the last one, the relay is warm.
    Steps(Vec<u64>),
    /// The limit of the first day, and by how many percent that of each following day
    /// is higher: at least by one unit. Without a maximum, it grows for ever.
    Percent {
        /// The limit of the first day.
        first: u64,
        /// Percent of the day before.
        percent: u32,
    },
}

impl DailyLimit {
    /// The same limit on each day.
    pub fn constant(maximum: u64) -> Self {
        Self {
            maximum: Some(maximum),
            warm_up: None,
        }
    }

    /// The limit on a day; `None` is no limit. It is the same for the whole day, so that
    /// a counter of a day has one maximum.
    pub fn on(&self, date: Date) -> Option<u64> {
        let end = self.maximum.unwrap_or(u64::MAX);
        let warm_up = self.warm_up.as_ref();
        let warm_up = warm_up.and_then(|warm_up| warm_up.on(date, end));
        warm_up.or(self.maximum)
    }
}

impl WarmUp {
    /// The limit on a day; `None` once the relay is warm, or the limit reaches `end`.
    fn on(&self, date: Date, end: u64) -> Option<u64> {
        // Dates have at most some million days.
        let day = (date - self.first_day).get_days().max(0).unsigned_abs();
        match &self.growth {
            Growth::Steps(steps) => {
                let step = steps.get(usize::try_from(day).ok()?)?;
                Some((*step).min(end))
            }
            Growth::Percent { first, percent } => {
                let mut limit = *first;
                for _ in 0..day {
                    if limit >= end {
                        break;
                    }
                    let more = u128::from(limit) * u128::from(*percent) / 100;
                    let more = u64::try_from(more).unwrap_or(u64::MAX).max(1);
                    limit = limit.saturating_add(more);
                }
                (limit < end).then_some(limit)
            }
        }
    }
}

impl RelayLimits {
    /// What to charge for a message: one message in any case, which is counted for
    /// `waxseal relay list`, and its recipients where they are limited.
    pub fn requests(&self, relay: &str, date: Date, recipients: u64) -> Vec<ChargeRequest> {
        let mut requests = vec![ChargeRequest {
            counter: relay_counter(relay),
            amount: 1,
            maximum: self.messages.as_ref().and_then(|limit| limit.on(date)),
        }];
        if let Some(limit) = &self.recipients {
            requests.push(ChargeRequest {
                counter: relay_recipient_counter(relay),
                amount: recipients,
                maximum: limit.on(date),
            });
        }
        requests
    }
}
