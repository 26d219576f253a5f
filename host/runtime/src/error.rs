//! Errors of policies.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use waxseal_core::decision::InvalidDecision;

use crate::contract::worlds;

/// Why there is no decision on a message (R28). The administrator's setting
/// (`on-error`) applies to this message; other messages are not affected.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PolicyError {
    /// The wall-clock limit was exceeded.
    #[error("the policy took longer than {0:?} (limits.decision-time)")]
    TimedOut(Duration),
    /// The limit on instructions (fuel) was exceeded.
    #[error("the policy ran more than {0} instructions (limits.instructions)")]
    OutOfInstructions(u64),
    /// The memory limit was exceeded.
    #[error("the policy needs more than {0} bytes of memory (limits.memory)")]
    OutOfMemory(usize),
    /// The decision read more from the host, or returned more, than its limits permit.
    #[error("the policy exceeded a data limit of one decision: {0}")]
    TooMuchData(String),
    /// The policy called an import that is denied.
    #[error("the policy called {0}, which is denied to policies")]
    ImportDenied(String),
    /// The policy panicked or trapped.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// The policy returned an error.
    #[error("the policy reports an error: {0}")]
    Reported(String),
    /// The policy charges too many new counters: each takes memory and disk.
    #[error(
        "the policy charges the new counter {counter}, and {limit} new counters \
         were already created today (limits.new-counters)"
    )]
    TooManyCounters {
        /// The first one over the limit.
        counter: String,
        /// Maximum number of new counters in a day.
        limit: u64,
    },
    /// The decision cannot be applied.
    #[error("the policy returned an invalid decision: {0}")]
    #[serde(skip)]
    InvalidDecision(#[from] InvalidDecision),
    /// The decision contains an invalid address.
    #[error("the policy returned an invalid decision: invalid address {0:?}: {1}")]
    #[serde(skip)]
    InvalidAddress(String, waxseal_core::message::AddressError),
}

impl PolicyError {
    /// Name of the kind of error, for statistics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "timed-out",
            Self::OutOfInstructions(_) => "out-of-instructions",
            Self::OutOfMemory(_) => "out-of-memory",
            Self::TooMuchData(_) => "too-much-data",
            Self::ImportDenied(_) => "import-denied",
            Self::Trapped(_) => "trapped",
            Self::Reported(_) => "reported",
            Self::TooManyCounters { .. } => "too-many-counters",
            Self::InvalidDecision(_) | Self::InvalidAddress(..) => "invalid-decision",
        }
    }
}

/// Why a policy cannot be loaded.
#[derive(Debug, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not a component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The component imports something other than the contract and WASI.
    #[error("the component imports {0}: a policy may import only waxseal:policy and wasi")]
    UnknownImport(String),
    /// Its exports or imports do not have the types of the contract.
    #[error("the component does not implement a supported world ({worlds}): {0}", worlds = worlds())]
    WrongWorld(String),
    /// It exceeds the limits on a policy, whatever its settings.
    #[error("the component exceeds a limit on policies: {0}")]
    DoesNotFit(String),
    /// `describe` or `configure` failed.
    #[error("the policy failed in {call}: {error}")]
    Setup {
        /// The exported function.
        call: SetupCall,
        /// The error.
        error: PolicyError,
    },
    /// Its settings have problems.
    #[error("the policy's settings have {} problem(s)", .0.len())]
    Settings(Vec<SettingsProblem>),
    /// wasmtime failed.
    #[error("wasmtime: {0}")]
    Engine(String),
    /// The process that compiles it failed.
    #[error("compiling the policy in a separate process: {0}")]
    Compiler(String),
}

/// A call of a policy during setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupCall {
    /// `setup.describe`.
    Describe,
    /// `setup.configure`.
    Configure,
}

impl fmt::Display for SetupCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe => "describe",
            Self::Configure => "configure",
        })
    }
}

/// A problem of the settings, as the policy reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsProblem {
    /// Byte range in the settings text.
    pub span: std::ops::Range<usize>,
    /// The problem.
    pub message: String,
    /// What is expected.
    pub expected: Option<String>,
}

/// A guest called a denied import. A type of its own, so that the error can be distinguished from other traps.
#[derive(Debug, Error)]
#[error("{0} is denied")]
pub(super) struct Denied(pub(super) String);

/// The decision's time ended during work of the host on the message.
#[derive(Debug, Error)]
#[error("the decision's time is over")]
pub(super) struct Overtime;

/// A guest exceeded a budget.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct OverBudget(pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::CONTRACT_VERSIONS;

    #[test]
    fn the_error_about_a_wrong_world_names_every_supported_version() {
        let text = LoadError::WrongWorld("no export".to_owned()).to_string();
        for version in CONTRACT_VERSIONS {
            assert!(
                text.contains(&format!("waxseal:policy@{version}")),
                "{text}"
            );
        }
    }
}
