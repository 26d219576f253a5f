//! The settings, read once; `settings.toml` says what each is for.

use waxseal_policy::{Configured, Problem, Reference, ReferenceKind};
use waxseal_settings::{Spanned, Table};

/// Settings that are fit for use; texts to compare with are in lower case.
pub(crate) struct Settings {
    pub(crate) bulk_relay: String,
    pub(crate) bulk_per_day: Option<u64>,
    pub(crate) bounces: Option<String>,
    pub(crate) largest_attachment: Option<u64>,
    pub(crate) held_types: Vec<String>,
    pub(crate) held_endings: Vec<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) excepted: Option<String>,
}

/// Reads the settings.
///
/// # Errors
///
/// Everything that is wrong with them.
pub(crate) fn read(text: &str) -> Result<(Settings, Configured), Vec<Problem>> {
    let mut configured = Configured::default();
    let (settings, problems) = waxseal_settings::read(text, |table| {
        table.require("bulk-relay", "the name of a relay");
        let relay = table.string("bulk-relay");
        let per_day = table.integer("bulk-per-day", 1..=u64::MAX);
        let excepted = table.string("excepted");
        let mut refer = |kind, name: &Spanned<String>| {
            let reference = Reference::at(name.span.clone(), kind, name.value.clone());
            configured.references.push(reference);
        };
        relay
            .iter()
            .for_each(|name| refer(ReferenceKind::Relay, name));
        excepted
            .iter()
            .for_each(|name| refer(ReferenceKind::Table, name));
        Settings {
            bulk_relay: relay.map(|name| name.value).unwrap_or_default(),
            bulk_per_day: per_day.map(|number| number.value),
            bounces: table.string("bounces").map(|domain| domain.value),
            largest_attachment: table
                .integer("largest-attachment", 1..=u64::MAX)
                .map(|number| number.value),
            held_types: lower(table, "held-types"),
            held_endings: lower(table, "held-endings"),
            keywords: lower(table, "keywords"),
            excepted: excepted.map(|name| name.value),
        }
    });
    if !problems.is_empty() {
        return Err(problems.into_iter().map(problem).collect());
    }
    if settings.holds_nothing() {
        let warning = Problem::at(0..0, "no message is ever held")
            .expected("`largest-attachment`, `held-types`, `held-endings` or `keywords`");
        configured.warnings.push(warning);
    }
    Ok((settings, configured))
}

impl Settings {
    fn holds_nothing(&self) -> bool {
        self.largest_attachment.is_none()
            && self.held_types.is_empty()
            && self.held_endings.is_empty()
            && self.keywords.is_empty()
    }
}

fn lower(table: &Table<'_>, key: &str) -> Vec<String> {
    let texts = table.strings(key).unwrap_or_default();
    texts.iter().map(|text| text.value.to_lowercase()).collect()
}

fn problem(given: waxseal_settings::Problem) -> Problem {
    let problem = Problem::at(given.span, given.message);
    match given.expected {
        Some(expected) => problem.expected(expected),
        None => problem,
    }
}
