//! Rules: how many failures put a relay to rest, and until when (R7, R9).

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::quota::Day;
use crate::relay::failure::FailureClass;

/// The end of a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestEnd {
    /// The next day in the configured time zone.
    NextDay,
    /// After a time. Less than a second counts as a second.
    After(SignedDuration),
    /// When an administrator switches the relay on.
    SwitchedOn,
}

impl RestEnd {
    /// When a rest that begins now ends; `None` if a time does not end it.
    pub(super) fn instant(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::NextDay => Some(Day::of(now, zone).resets_at()),
            Self::After(time) => {
                let time = time.max(SignedDuration::from_secs(1));
                Some(now.saturating_add(time).unwrap_or(Timestamp::MAX))
            }
            Self::SwitchedOn => None,
        }
    }
}

/// A number of failures in a row within one day, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Failures in a row.
    pub threshold: NonZeroU32,
    /// Until when the relay rests.
    pub end: RestEnd,
}

/// The rules of a relay.
///
/// A class of failures that has a rule of its own is counted by itself. All other
/// classes are counted together under the general rule. An accepted message starts
/// all counts again, and so does the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// For classes without a rule of their own.
    pub general: Rule,
    /// For single classes.
    pub by_class: BTreeMap<FailureClass, Rule>,
    /// Failures of a class in a row, on however many days, after which the relay
    /// stays off until an administrator switches it on.
    pub switch_off_after: BTreeMap<FailureClass, NonZeroU32>,
}

impl HealthRules {
    /// Three failures in a row, and a rest until the next day (R7).
    pub const DEFAULT_RULE: Rule = Rule {
        threshold: NonZeroU32::new(3).expect("not zero"),
        end: RestEnd::NextDay,
    };

    /// Login failures in a row after which a relay can be set to stay off (R9).
    /// Services lock an account when logins keep failing.
    pub const LOGIN_FAILURES: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

    /// Connection failures in a row after which a relay can be set to stay off (R9).
    pub const CONNECTION_FAILURES: NonZeroU32 = NonZeroU32::new(50).expect("not zero");

    /// The default rules, with a relay that stays off after
    /// [10 login failures](Self::LOGIN_FAILURES) or
    /// [50 connection failures](Self::CONNECTION_FAILURES) in a row.
    pub fn with_switch_off() -> Self {
        Self {
            switch_off_after: BTreeMap::from([
                (FailureClass::Login, Self::LOGIN_FAILURES),
                (FailureClass::Connection, Self::CONNECTION_FAILURES),
            ]),
            ..Self::default()
        }
    }

    /// The rule of a class.
    pub fn rule(&self, class: FailureClass) -> Rule {
        self.by_class.get(&class).copied().unwrap_or(self.general)
    }

    /// Whether failures of these classes are counted together.
    pub(super) fn are_counted_together(&self, one: FailureClass, other: FailureClass) -> bool {
        one == other || !self.by_class.contains_key(&one) && !self.by_class.contains_key(&other)
    }
}

/// Three failures in a row of any classes within one day; the relay is used again
/// on the next day.
impl Default for HealthRules {
    fn default() -> Self {
        Self {
            general: Self::DEFAULT_RULE,
            by_class: BTreeMap::new(),
            switch_off_after: BTreeMap::new(),
        }
    }
}
