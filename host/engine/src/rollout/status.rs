//! What there is to say about the policy in service, for administrators and
//! programs.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshots::Pin;
use super::version::VersionSummary;
use crate::config::{Problem, Severity};

/// What asked for a version to be put in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The start of the host.
    Start,
    /// SIGHUP.
    Reload,
    /// Files have changed.
    FilesChanged,
    /// A command.
    Command,
}

impl Trigger {
    /// The same for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "at the start",
            Self::Reload => "at a reload",
            Self::FilesChanged => "since its files changed",
            Self::Command => "by command",
        }
    }
}

/// A version that did not get into service, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// What asked for it.
    pub trigger: Trigger,
    /// The component.
    pub file: PathBuf,
    /// What is wrong, each with its place.
    pub problems: Vec<String>,
}

impl Refusal {
    pub(super) fn new(
        at: Timestamp,
        trigger: Trigger,
        file: PathBuf,
        problems: &[Problem],
    ) -> Self {
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        Self {
            at,
            trigger,
            file,
            problems: errors.map(ToString::to_string).collect(),
        }
    }
}

/// A version that is being checked and compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trying {
    /// Since when.
    pub since: Timestamp,
    /// What asked for it.
    pub trigger: Trigger,
    /// The component.
    pub file: PathBuf,
}

/// All about the policy in service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// When this was so.
    pub now: Timestamp,
    /// The component that `waxseal.toml` names.
    pub file: PathBuf,
    /// The settings that it names.
    pub settings: Option<PathBuf>,
    /// Whether changes of the files are noticed by themselves.
    pub watched: bool,
    /// Different messages in a row that a version may fail on; 0 is any number.
    pub roll_back_after: u64,
    /// The share of the last messages that it may fail on; none is any.
    pub roll_back_share: Option<String>,
    /// The version in service, then those before it, newest first.
    pub versions: Vec<VersionSummary>,
    /// The version that a rollback without a number goes to.
    pub next_rollback: Option<u64>,
    /// Why the files are not what is in service; none where they are.
    pub kept: Option<Pin>,
    /// The last version that did not get into service, until one does.
    pub refused: Option<Refusal>,
    /// A version that is being checked and compiled.
    pub trying: Option<Trying>,
}
