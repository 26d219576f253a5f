//! A version: a snapshot while it is active, and the reason of its activation.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::Entry;
use super::statistics::{Statistics, VersionStats};
use crate::pipeline::{InputDigests, PolicyId, PolicySnapshot};

/// A policy (component, settings and tables) while it is active, with its host settings. A rollback to a
/// policy creates a new version with statistics of its own; a change of host settings does not.
pub struct ActiveVersion {
    pub(super) number: u64,
    pub(super) snapshot: Arc<PolicySnapshot>,
    pub(super) since: Timestamp,
    pub(super) reason: ActivationReason,
    /// Shared with the same version on other host settings.
    pub(super) statistics: Arc<Statistics>,
    /// The same files decided messages as an earlier version.
    pub(super) proven: bool,
}

/// Why a version was activated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ActivationReason {
    /// It is the first one.
    Start,
    /// The configuration was read again (SIGHUP).
    Reload,
    /// Files that the configuration names have changed.
    FilesChanged,
    /// By command: `waxseal policy swap`, or the embedding program.
    Command,
    /// It was promoted from a shadow run.
    Promotion,
    /// A rollback by command.
    Rollback {
        /// The version that was rolled back.
        from: u64,
        /// The version that it was before.
        to: u64,
    },
    /// An automatic rollback: the later version failed too often.
    AutomaticRollback {
        /// The version that failed.
        from: u64,
        /// The version that it was before.
        to: u64,
        /// Different messages that the failed version failed on and the previous one decides.
        errors: u64,
        /// Number of recent messages among which they are; `None` if they were consecutive.
        #[serde(default)]
        of: Option<u64>,
        /// The last error.
        error: String,
    },
}

impl fmt::Display for ActivationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Reload => f.write_str("reload"),
            Self::FilesChanged => f.write_str("files changed"),
            Self::Command => f.write_str("swap by command"),
            Self::Promotion => f.write_str("promotion from shadow"),
            Self::Rollback { from, to } => {
                write!(f, "rollback from version {from} to version {to}")
            }
            Self::AutomaticRollback {
                from,
                to,
                errors,
                of,
                ..
            } => {
                let share = Share(*errors, *of);
                write!(
                    f,
                    "automatic rollback to version {to}: version {from} failed on {share}"
                )
            }
        }
    }
}

/// Number of failed messages: consecutive ones, or among recent ones.
pub(super) struct Share(pub(super) u64, pub(super) Option<u64>);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(errors, of) = self;
        match of {
            None => write!(f, "{errors} different messages in a row"),
            Some(of) => write!(f, "{errors} of the last {of} messages"),
        }
    }
}

/// Summary of an active or earlier version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionSummary {
    /// Its number: 1 is the first since the start.
    pub number: u64,
    /// Name, version and digest of its policy.
    pub policy: PolicyId,
    /// The component's file.
    pub file: PathBuf,
    /// Digests of its inputs.
    pub inputs: InputDigests,
    /// Time of its activation.
    pub since: Timestamp,
    /// Time of the next activation; `None` for the active version.
    pub until: Option<Timestamp>,
    /// Reason of its activation.
    pub reason: ActivationReason,
    /// Whether it is retained, so that a rollback can select it.
    pub retained: bool,
    /// Its statistics.
    pub statistics: VersionStats,
}

impl Entry for Arc<ActiveVersion> {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_same(&self, other: &Self) -> bool {
        self.snapshot.inputs() == other.snapshot.inputs()
    }

    fn has_decided(&self) -> bool {
        self.proven || self.statistics.has_decided()
    }
}

impl ActiveVersion {
    /// Its number: 1 is the first since the start.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its snapshot.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        &self.snapshot
    }

    /// Time of its activation.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Reason of its activation.
    pub fn reason(&self) -> &ActivationReason {
        &self.reason
    }

    /// Its statistics so far.
    pub fn statistics(&self) -> VersionStats {
        self.statistics.stats()
    }

    /// Its current summary.
    pub fn summary(&self) -> VersionSummary {
        self.summarize(None, true)
    }

    pub(super) fn summarize(&self, until: Option<Timestamp>, retained: bool) -> VersionSummary {
        VersionSummary {
            number: self.number,
            policy: self.snapshot.policy_id(),
            file: self.snapshot.file().to_owned(),
            inputs: self.snapshot.inputs().clone(),
            since: self.since,
            until,
            reason: self.reason.clone(),
            retained,
            statistics: self.statistics(),
        }
    }
}

impl fmt::Debug for ActiveVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveVersion")
            .field("number", &self.number)
            .field("policy", &self.snapshot.policy_id())
            .field("since", &self.since)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
