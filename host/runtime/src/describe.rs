//! What a policy says before its first message: about itself, and about its
//! settings.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::error::SettingsProblem;

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

/// Bytes of the settings text, whatever a policy says they are.
pub(super) fn span(settings: &str, offset: u32, length: u32) -> Range<usize> {
    let start = settings.floor_char_boundary(offset as usize);
    let end = settings.ceil_char_boundary((offset as usize).saturating_add(length as usize));
    start..end.max(start)
}
