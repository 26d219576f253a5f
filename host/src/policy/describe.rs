//! What a policy says before its first message: about itself, and about its
//! settings.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::bindings::exports::waxseal::policy::setup;
use super::error::SettingsProblem;
use super::run;
use super::state::one_line;

/// What a policy says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON Schema of its settings, if it has one.
    pub settings_schema: Option<String>,
}

/// A name of the host's that the settings mention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it names.
    pub kind: ReferenceKind,
    /// The name.
    pub name: String,
    /// Bytes of the settings text.
    pub span: Range<usize>,
}

/// What a [`Reference`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// `[relay.NAME]` of `waxseal.toml`.
    Relay,
    /// A domain that is signed for.
    DkimDomain,
    /// `[table.NAME]` of `waxseal.toml`.
    Table,
    /// A counter.
    Counter,
}

/// What came of reading the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Names of the host's that they mention.
    pub references: Vec<Reference>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<SettingsProblem>,
}

pub(super) fn description(given: setup::Description) -> Description {
    Description {
        name: run::brief(&given.name),
        version: run::brief(&given.version),
        settings_schema: given.settings_schema,
    }
}

pub(super) fn configured(given: setup::Configured, settings: &str) -> Configured {
    let references = given.references.into_iter();
    Configured {
        references: references.map(|given| reference(given, settings)).collect(),
        warnings: problems(given.warnings, settings),
    }
}

pub(super) fn problems(given: Vec<setup::Problem>, settings: &str) -> Vec<SettingsProblem> {
    let problem = |given: setup::Problem| SettingsProblem {
        span: span(settings, given.offset, given.length),
        message: one_line(&given.message),
        expected: given.expected.as_deref().map(one_line),
    };
    given.into_iter().map(problem).collect()
}

fn reference(given: setup::Reference, settings: &str) -> Reference {
    Reference {
        kind: match given.kind {
            setup::ReferenceKind::Relay => ReferenceKind::Relay,
            setup::ReferenceKind::DkimDomain => ReferenceKind::DkimDomain,
            setup::ReferenceKind::Table => ReferenceKind::Table,
            setup::ReferenceKind::Counter => ReferenceKind::Counter,
        },
        name: one_line(&given.name),
        span: span(settings, given.offset, given.length),
    }
}

/// Bytes of the settings text, whatever a policy says they are.
fn span(settings: &str, offset: u32, length: u32) -> Range<usize> {
    let start = settings.floor_char_boundary(offset as usize);
    let end = settings.ceil_char_boundary((offset as usize).saturating_add(length as usize));
    start..end.max(start)
}
