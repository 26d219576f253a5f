//! Requests and responses of the control channel, and their paths.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use waxseal::rollout::{Comparison, RecordingStatus, Status, VersionSummary};

/// Path of the status.
pub const POLICY: &str = "/policy";

/// Path of a swap.
pub const SWAP: &str = "/policy/swap";

/// Path of a rollback.
pub const ROLLBACK: &str = "/policy/rollback";

/// Path to start a shadow candidate.
pub const SHADOW: &str = "/policy/shadow";

/// Path to stop the shadow candidate.
pub const SHADOW_STOP: &str = "/policy/shadow/stop";

/// Path of the shadow candidate's comparison.
pub const DIFF: &str = "/policy/diff";

/// Path to promote the shadow candidate.
pub const PROMOTE: &str = "/policy/promote";

/// The active policy, the shadow candidate and the recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusResponse {
    /// The active and the previous versions.
    #[serde(flatten)]
    pub status: Status,
    /// The comparison of the shadow candidate, if one runs.
    pub shadow: Option<Comparison>,
    /// The recording in progress.
    pub recording: Option<RecordingStatus>,
}

/// Request to start a shadow candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StartShadowRequest {
    /// Absolute path of the component.
    pub file: PathBuf,
    /// Absolute path of its settings; `None` for those of `waxseal.toml`.
    pub settings: Option<PathBuf>,
    /// The share of messages that the candidate decides on, such as `10%`.
    pub share: String,
}

/// Request to activate another policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Swap {
    /// Absolute path of the component.
    pub file: PathBuf,
    /// Absolute path of its settings; `None` for those of `waxseal.toml`.
    pub settings: Option<PathBuf>,
}

/// Request to roll back to an earlier version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollback {
    /// Number of the version; `None` for the newest that has decided messages.
    pub version: Option<u64>,
}

/// Request to activate the shadow candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Promote {
    /// Promote even if it failed on more messages than the active version.
    pub force: bool,
}

/// Response to a request that activated a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActivationResponse {
    /// The version that is now active.
    pub version: VersionSummary,
    /// Notes for the operator.
    pub notes: Vec<String>,
}

/// Response to a request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ErrorBody {
    /// The reason, in one line.
    pub error: String,
    /// All problems, each with file and line.
    #[serde(default)]
    pub problems: Vec<String>,
}
