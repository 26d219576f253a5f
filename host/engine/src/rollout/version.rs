//! A version: one snapshot for as long as it is in service, and why.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::Entry;
use super::statistics::{Statistics, VersionStats};
use crate::pipeline::{InputDigests, PolicyId, PolicySnapshot};

/// A policy (component, settings and tables) from when it was put in service to
/// when the next one was, and the host settings it runs with. Going back to a
/// policy makes a version of it again, with numbers of its own; other host
/// settings do not.
pub struct ActiveVersion {
    pub(super) number: u64,
    pub(super) snapshot: Arc<PolicySnapshot>,
    pub(super) since: Timestamp,
    pub(super) why: ActivationReason,
    /// Shared with the same version on other host settings.
    pub(super) statistics: Arc<Statistics>,
    /// The same files have decided on messages as an earlier version.
    pub(super) proven: bool,
}

/// Why a version was put in service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum ActivationReason {
    /// It was the first.
    Start,
    /// The configuration was read again (SIGHUP).
    Reload,
    /// Files that the configuration names have changed.
    FilesChanged,
    /// Somebody put it there: `waxseal policy swap`, or the embedding program.
    Command,
    /// It ran in shadow, and was found good.
    Promotion,
    /// Somebody went back to it.
    Rollback {
        /// The version that it takes the place of.
        from: u64,
        /// The version that it was before.
        to: u64,
    },
    /// The version after it failed too often.
    AutomaticRollback {
        /// The version that failed.
        from: u64,
        /// The version that it was before.
        to: u64,
        /// Different messages that it failed on and the version before decides.
        errors: u64,
        /// They were among this many of the last messages; none where they came
        /// in a row.
        #[serde(default)]
        of: Option<u64>,
        /// What happened to the last of them.
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
                write!(f, "rollback from version {from} to what was version {to}")
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
                    "automatic rollback to what was version {to}: version {from} failed on {share}"
                )
            }
        }
    }
}

/// How many messages failed, in a row or of the last ones.
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

/// What there is to say about a version, in service or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionSummary {
    /// Its number: 1 is the first since the start.
    pub number: u64,
    /// Name, version and digest of its policy.
    pub policy: PolicyId,
    /// The file that its component came from.
    pub file: PathBuf,
    /// Digests of all that it was made from.
    pub inputs: InputDigests,
    /// When it was put in service.
    pub since: Timestamp,
    /// When the next one was; none while it is in service.
    pub until: Option<Timestamp>,
    /// Why it was put in service.
    pub why: ActivationReason,
    /// It is kept whole, and a rollback can go to it.
    pub kept: bool,
    /// What it has done.
    pub numbers: VersionStats,
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

    /// All that it decides with.
    pub fn snapshot(&self) -> &Arc<PolicySnapshot> {
        &self.snapshot
    }

    /// When it was put in service.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Why it was put in service.
    pub fn why(&self) -> &ActivationReason {
        &self.why
    }

    /// What it has done so far.
    pub fn numbers(&self) -> VersionStats {
        self.statistics.numbers()
    }

    /// What there is to say about it now.
    pub fn summary(&self) -> VersionSummary {
        self.summarize(None, true)
    }

    pub(super) fn summarize(&self, until: Option<Timestamp>, kept: bool) -> VersionSummary {
        VersionSummary {
            number: self.number,
            policy: self.snapshot.policy_id(),
            file: self.snapshot.file().to_owned(),
            inputs: self.snapshot.inputs().clone(),
            since: self.since,
            until,
            why: self.why.clone(),
            kept,
            numbers: self.numbers(),
        }
    }
}

impl fmt::Debug for ActiveVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveVersion")
            .field("number", &self.number)
            .field("policy", &self.snapshot.policy_id())
            .field("since", &self.since)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}
