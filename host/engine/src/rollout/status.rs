//! Status of the rollout, for administrators and programs.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshots::Pin;
use super::version::VersionSummary;
use crate::config::{Problem, Severity};

/// The trigger of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The start of the daemon.
    Start,
    /// SIGHUP.
    Reload,
    /// Files have changed.
    FilesChanged,
    /// A command.
    Command,
}

impl Trigger {
    /// The trigger for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "at the start",
            Self::Reload => "at a reload",
            Self::FilesChanged => "after its files changed",
            Self::Command => "by command",
        }
    }
}

/// A version that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rejection {
    /// When.
    pub at: Timestamp,
    /// The trigger.
    pub trigger: Trigger,
    /// The component.
    pub file: PathBuf,
    /// The problems, each with its position.
    pub problems: Vec<String>,
}

impl Rejection {
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

/// A candidate that is being validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Validating {
    /// Start of the validation.
    pub since: Timestamp,
    /// What asked for it.
    pub trigger: Trigger,
    /// The component.
    pub file: PathBuf,
}

/// Status of the rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Time of the status.
    pub now: Timestamp,
    /// The component that `waxseal.toml` names.
    pub file: PathBuf,
    /// The settings file that it names.
    pub settings: Option<PathBuf>,
    /// Whether the files are watched for changes.
    pub watched: bool,
    /// Maximum number of consecutive different messages that a version may fail on; 0 is unlimited.
    pub roll_back_after: u64,
    /// Maximum share of recent messages that it may fail on; `None` is unlimited.
    pub roll_back_share: Option<String>,
    /// The active version, then earlier ones, newest first.
    pub versions: Vec<VersionSummary>,
    /// The version that a rollback without a number goes to.
    pub next_rollback: Option<u64>,
    /// Why the configured files are not active; `None` if they are.
    pub pin: Option<Pin>,
    /// The last rejected version, until another is activated.
    pub rejected: Option<Rejection>,
    /// A candidate that is being validated.
    pub validating: Option<Validating>,
}
