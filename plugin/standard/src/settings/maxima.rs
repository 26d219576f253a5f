//! Daily maxima (R11).
//!
//! A maximum at one place does not replace one at another: each is a counter of
//! its own, and a message has to fit into all of them.

use waxseal_policy::{Charge, ReferenceKind, Unit, WhenFull, counter_name};
use waxseal_settings::Table;

use super::Notes;

/// Most units of a day on one counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Maximum {
    unit: Unit,
    maximum: u64,
    full: WhenFull,
}

impl Maximum {
    /// The charge of a message on the counter of that scope. Recipients are
    /// counted under a name of their own, so that a maximum whose unit is
    /// changed begins afresh instead of taking messages for recipients.
    pub(crate) fn charge(&self, scope: &str) -> Charge {
        Charge {
            counter: counter(scope, self.unit),
            unit: self.unit,
            maximum: Some(self.maximum),
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

/// Maxima of each authenticated user.
#[derive(Debug, Default)]
pub(crate) struct UserMaxima {
    every: Vec<Maximum>,
    /// By name in lower case, sorted.
    named: Vec<(String, Vec<Maximum>)>,
}

impl UserMaxima {
    /// Whether there are any: otherwise nobody needs to ask who the user is.
    pub(crate) fn is_empty(&self) -> bool {
        self.every.is_empty() && self.named.is_empty()
    }

    /// The charges of a message of that user.
    pub(crate) fn charges(&self, user: &str) -> impl Iterator<Item = Charge> {
        let user = user.to_ascii_lowercase();
        let named = self.named.binary_search_by(|(name, _)| name.cmp(&user));
        let maxima = named.map_or(&self.every, |index| &self.named[index].1);
        let scope = ["user/", &user].concat();
        maxima.iter().map(move |maximum| maximum.charge(&scope))
    }
}

/// The maxima that stand under `key`: a number of messages, or a table.
pub(super) fn read(table: &Table<'_>, key: &str, scope: &str, notes: &Notes) -> Vec<Maximum> {
    let Some(span) = table.span_of(key) else {
        return Vec::new();
    };
    let maxima = read_values(table, key);
    for maximum in &maxima {
        let name = counter(scope, maximum.unit);
        notes.refer(ReferenceKind::Counter, &name, span.clone());
    }
    maxima
}

fn read_values(table: &Table<'_>, key: &str) -> Vec<Maximum> {
    match table.type_of(key) {
        Some("table") => table.table(key).map_or_else(Vec::new, |it| read_table(&it)),
        Some("string") => {
            table.choice(key, &[("none", ())]);
            Vec::new()
        }
        _ => {
            let messages = table.integer(key, 0..=u64::MAX);
            let maximum = messages.map(|messages| Maximum {
                unit: Unit::Message,
                maximum: messages.value,
                full: WhenFull::Defer,
            });
            maximum.into_iter().collect()
        }
    }
}

fn read_table(table: &Table<'_>) -> Vec<Maximum> {
    let words = [("defer", WhenFull::Defer), ("reject", WhenFull::Reject)];
    let full = table.choice("full", &words).unwrap_or(WhenFull::Defer);
    let units = [("messages", Unit::Message), ("recipients", Unit::Recipient)];
    if units.iter().all(|(key, _)| table.span_of(key).is_none()) {
        let expected = "`messages`, `recipients`, or both".to_owned();
        table.problem(
            table.span(),
            "the maximum of what is missing",
            Some(expected),
        );
    }
    let read = units.into_iter().filter_map(|(key, unit)| {
        let maximum = table.integer(key, 0..=u64::MAX)?.value;
        Some(Maximum {
            unit,
            maximum,
            full,
        })
    });
    read.collect()
}

/// `user-maximum` for every user, and `[user.NAME]` for one in particular.
pub(super) fn read_users(top: &Table<'_>, notes: &Notes) -> UserMaxima {
    let every = read_values(top, "user-maximum");
    let mut named = Vec::new();
    for entry in top.named_tables("user") {
        let user = entry.name.value.to_ascii_lowercase();
        entry
            .table
            .require("maximum", "a number of messages, a table, or \"none\"");
        let scope = format!("user/{user}");
        let maxima = read(&entry.table, "maximum", &scope, notes);
        if named.iter().any(|(other, _)| *other == user) {
            let message = format!("user \"{user}\" has two entries");
            let expected = "one entry; upper and lower case are the same".to_owned();
            top.problem(entry.name.span.clone(), message, Some(expected));
        }
        named.push((user, maxima));
    }
    named.sort();
    UserMaxima { every, named }
}
