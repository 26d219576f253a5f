//! Descriptions that a policy returns during setup: of itself, and of its settings.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::error::SettingsProblem;

/// A policy's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON Schema of its settings, if any.
    pub settings_schema: Option<String>,
}

/// A name of a relay, domain, table or counter in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What the name refers to.
    pub kind: ReferenceKind,
    /// The name.
    pub name: String,
    /// Byte range in the settings text.
    pub span: Range<usize>,
}

/// What a [`Reference`] refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// `[relay.NAME]` of `waxseal.toml`.
    Relay,
    /// A domain to sign for.
    DkimDomain,
    /// `[table.NAME]` of `waxseal.toml`.
    Table,
    /// A counter.
    Counter,
}

/// The result of a successful `configure`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Names of relays, domains, tables and counters in the settings.
    pub references: Vec<Reference>,
    /// Settings that are valid, but probably not intended.
    pub warnings: Vec<SettingsProblem>,
}

/// A byte range of the settings text, clamped to it.
pub(super) fn span(settings: &str, offset: u32, length: u32) -> Range<usize> {
    let start = settings.floor_char_boundary(offset as usize);
    let end = settings.ceil_char_boundary((offset as usize).saturating_add(length as usize));
    start..end.max(start)
}
