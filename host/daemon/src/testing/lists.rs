//! Comparison of expected and actual lists.

use super::expected;
use super::pattern::Pattern;
use waxseal_core::decision::{Charge, Unit, WhenFull};
use waxseal_core::edit::{self, DisclaimerReport};

/// Text of an absent value.
pub(super) const NONE: &str = "none";

/// Joins items.
pub(super) fn listed<T: ToString>(items: &[T], between: &str) -> String {
    if items.is_empty() {
        return NONE.to_owned();
    }
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(between)
}

/// Whether each item matches the pattern at its position; a final `*` matches all
/// remaining items.
pub(super) fn in_order(patterns: &[Pattern], actual: &[String]) -> bool {
    let (patterns, open) = match patterns.split_last() {
        Some((last, others)) if last.is_anything() && !others.is_empty() => (others, true),
        _ => (patterns, false),
    };
    (actual.len() == patterns.len() || open && actual.len() > patterns.len())
        && patterns
            .iter()
            .zip(actual)
            .all(|(pattern, actual)| pattern.fits(actual))
}

/// An expected element of a list.
pub(super) trait Element<T> {
    /// Whether the item matches.
    fn fits(&self, actual: &T) -> bool;
    /// Whether every item, or none, matches.
    fn is_anything(&self) -> bool;
    /// As text.
    fn shown(&self) -> String;
}

/// An actual item.
pub(super) trait Shown {
    /// As text.
    fn shown(&self) -> String;
}

impl Shown for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Element<String> for Pattern {
    fn fits(&self, actual: &String) -> bool {
        Self::fits(self, actual)
    }

    fn is_anything(&self) -> bool {
        Self::is_anything(self)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for DisclaimerReport {
    fn shown(&self) -> String {
        let mut text = format!("{} {}", self.id, outcome(self.outcome));
        if !self.places.is_empty() {
            text.push_str(&format!(" in {}", self.places.join(", ")));
        }
        if let Some(reason) = self.reason {
            text.push_str(&format!(", because {reason}"));
        }
        text
    }
}

impl Element<DisclaimerReport> for expected::Disclaimer {
    fn fits(&self, actual: &DisclaimerReport) -> bool {
        self.id.fits(&actual.id)
            && self.outcome.is_none_or(|outcome| outcome == actual.outcome)
            && self
                .places
                .as_ref()
                .is_none_or(|places| *places == actual.places)
            && self.reason.as_ref().is_none_or(|reason| {
                actual
                    .reason
                    .is_some_and(|actual| reason.fits(&actual.to_string()))
            })
    }

    fn is_anything(&self) -> bool {
        self.id.is_anything()
            && self.outcome.is_none()
            && self.places.is_none()
            && self.reason.is_none()
    }

    fn shown(&self) -> String {
        let mut text = self.id.to_string();
        if let Some(wanted) = self.outcome {
            text.push_str(&format!(" {}", outcome(wanted)));
        }
        if let Some(places) = &self.places {
            text.push_str(&format!(" in {}", places.join(", ")));
        }
        if let Some(reason) = &self.reason {
            text.push_str(&format!(", because {reason}"));
        }
        text
    }
}

fn outcome(outcome: edit::Outcome) -> &'static str {
    match outcome {
        edit::Outcome::Inserted => "inserted",
        edit::Outcome::Wrapped => "wrapped",
        edit::Outcome::Skipped => "skipped",
    }
}

impl Shown for Charge {
    fn shown(&self) -> String {
        shown_charge(
            &self.counter,
            Some(self.unit),
            self.maximum,
            self.maximum.map(|_| self.full),
        )
    }
}

impl Element<Charge> for expected::Charge {
    fn fits(&self, actual: &Charge) -> bool {
        self.counter.fits(&actual.counter)
            && self.unit.is_none_or(|unit| unit == actual.unit)
            && self
                .maximum
                .is_none_or(|maximum| Some(maximum) == actual.maximum)
            && self.full.is_none_or(|full| full == actual.full)
    }

    fn is_anything(&self) -> bool {
        self.counter.is_anything()
            && self.unit.is_none()
            && self.maximum.is_none()
            && self.full.is_none()
    }

    fn shown(&self) -> String {
        shown_charge(
            &self.counter.to_string(),
            self.unit,
            self.maximum,
            self.full,
        )
    }
}

fn shown_charge(
    counter: &str,
    unit: Option<Unit>,
    maximum: Option<u64>,
    full: Option<WhenFull>,
) -> String {
    let mut text = counter.to_owned();
    match unit {
        Some(Unit::Message) => text.push_str(" per message"),
        Some(Unit::Recipient) => text.push_str(" per recipient"),
        None => {}
    }
    if let Some(maximum) = maximum {
        text.push_str(&format!(", limit {maximum}"));
    }
    match full {
        Some(WhenFull::Defer) => text.push_str(", defer when exceeded"),
        Some(WhenFull::Reject) => text.push_str(", reject when exceeded"),
        None => {}
    }
    text
}
