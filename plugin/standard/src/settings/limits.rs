//! Daily limits (R11).
//!
//! Limits of several places do not replace each other: each has a counter of its
//! own, and a message must fit within all of them.

use waxseal_policy::{Charge, ReferenceKind, Unit, WhenFull, counter_name};
use waxseal_settings::Table;

use super::Notes;

/// Largest number of units per day on one counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Limit {
    unit: Unit,
    units: u64,
    full: WhenFull,
}

impl Limit {
    /// The charge of a message on the counter of that scope. Recipients have
    /// counters of their own, so that a limit whose unit changes starts at zero
    /// and does not count messages as recipients.
    pub(crate) fn charge(&self, scope: &str) -> Charge {
        Charge {
            counter: counter(scope, self.unit),
            unit: self.unit,
            maximum: Some(self.units),
            full: self.full,
        }
    }
}

fn counter(scope: &str, unit: Unit) -> String {
    match unit {
        Unit::Message => counter_name(scope),
        Unit::Recipient => counter_name(&[scope, "/recipients"].concat()),
    }
}

/// Limits of each authenticated user.
#[derive(Debug, Default)]
pub(crate) struct UserLimits {
    every: Vec<Limit>,
    /// By name in lower case, sorted.
    named: Vec<(String, Vec<Limit>)>,
}

impl UserLimits {
    /// Whether there are none, so that the user need not be known.
    pub(crate) fn is_empty(&self) -> bool {
        self.every.is_empty() && self.named.is_empty()
    }

    /// The charges of a message of that user.
    pub(crate) fn charges(&self, user: &str) -> impl Iterator<Item = Charge> {
        let user = user.to_ascii_lowercase();
        let named = self.named.binary_search_by(|(name, _)| name.cmp(&user));
        let limits = named.map_or(&self.every, |index| &self.named[index].1);
        let scope = ["user/", &user].concat();
        limits.iter().map(move |limit| limit.charge(&scope))
    }
}

/// The limits under `key`: a number of messages, or a table.
pub(super) fn read(table: &Table<'_>, key: &str, scope: &str, notes: &Notes) -> Vec<Limit> {
    let Some(span) = table.span_of(key) else {
        return Vec::new();
    };
    let limits = read_values(table, key);
    for limit in &limits {
        let name = counter(scope, limit.unit);
        notes.refer(ReferenceKind::Counter, &name, span.clone());
    }
    limits
}

fn read_values(table: &Table<'_>, key: &str) -> Vec<Limit> {
    match table.type_of(key) {
        Some("table") => table.table(key).map_or_else(Vec::new, |it| read_table(&it)),
        Some("string") => {
            table.choice(key, &[("none", ())]);
            Vec::new()
        }
        _ => {
            let messages = table.integer(key, 0..=u64::MAX);
            let limit = messages.map(|messages| Limit {
                unit: Unit::Message,
                units: messages.value,
                full: WhenFull::Defer,
            });
            limit.into_iter().collect()
        }
    }
}

fn read_table(table: &Table<'_>) -> Vec<Limit> {
    let words = [("defer", WhenFull::Defer), ("reject", WhenFull::Reject)];
    let full = table.choice("full", &words).unwrap_or(WhenFull::Defer);
    let units = [("messages", Unit::Message), ("recipients", Unit::Recipient)];
    if units.iter().all(|(key, _)| table.span_of(key).is_none()) {
        let expected = "`messages`, `recipients`, or both".to_owned();
        table.problem(table.span(), "the limit has no unit", Some(expected));
    }
    let read = units.into_iter().filter_map(|(key, unit)| {
        let units = table.integer(key, 0..=u64::MAX)?.value;
        Some(Limit { unit, units, full })
    });
    read.collect()
}

/// `user-limit` for every user, and `[user.NAME]` for one in particular.
pub(super) fn read_users(top: &Table<'_>, notes: &Notes) -> UserLimits {
    let every = read_values(top, "user-limit");
    let mut named = Vec::new();
    for entry in top.named_tables("user") {
        let user = entry.name.value.to_ascii_lowercase();
        entry
            .table
            .require("limit", "a number of messages, a table, or \"none\"");
        let scope = format!("user/{user}");
        let limits = read(&entry.table, "limit", &scope, notes);
        if named.iter().any(|(other, _)| *other == user) {
            let message = format!("duplicate entry for user \"{user}\"");
            let expected = "one entry; case is ignored".to_owned();
            top.problem(entry.name.span.clone(), message, Some(expected));
        }
        named.push((user, limits));
    }
    named.sort();
    UserLimits { every, named }
}
