//! What goes over the control channel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::rollout::{Comparison, InRecording, Status, VersionSummary};

/// Where the status of the policy is.
pub const POLICY: &str = "/policy";

/// Where a policy is put in service.
pub const SWAP: &str = "/policy/swap";

/// Where one goes back.
pub const ROLLBACK: &str = "/policy/rollback";

/// Where a candidate is put in shadow.
pub const SHADOW: &str = "/policy/shadow";

/// Where it is taken out again.
pub const SHADOW_STOP: &str = "/policy/shadow/stop";

/// Where is told what it decides otherwise.
pub const DIFF: &str = "/policy/diff";

/// Where it is put in service.
pub const PROMOTE: &str = "/policy/promote";

/// The policy in service, the candidate beside it, and what is recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusResponse {
    /// What is in service, and what was.
    #[serde(flatten)]
    pub status: Status,
    /// What the candidate in shadow has decided so far, if there is one.
    pub in_shadow: Option<Comparison>,
    /// The recording that is being written, if there is one.
    pub recording: Option<InRecording>,
}

/// Put a candidate in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StartShadowRequest {
    /// The component, an absolute path.
    pub file: PathBuf,
    /// Its settings, an absolute path; none are those that `waxseal.toml` names.
    pub settings: Option<PathBuf>,
    /// The part of the messages that it is given, such as `10%`.
    pub share: String,
}

/// Put a policy in service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Swap {
    /// The component, an absolute path.
    pub file: PathBuf,
    /// Its settings, an absolute path; none are those that `waxseal.toml` names.
    pub settings: Option<PathBuf>,
}

/// Go back to an earlier version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollback {
    /// Its number; none is the newest that has decided on messages.
    pub version: Option<u64>,
}

/// Put the candidate in shadow in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Promote {
    /// Even if it failed on more messages than the version in service.
    pub force: bool,
}

/// A version has been put in service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActivationResponse {
    /// It.
    pub version: VersionSummary,
    /// What somebody who asked for it should know.
    pub notes: Vec<String>,
}

/// The answer is no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ErrorBody {
    /// Why, in one line.
    pub error: String,
    /// All that is wrong, each with its place.
    #[serde(default)]
    pub problems: Vec<String>,
}
