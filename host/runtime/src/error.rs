//! How a policy can fail, as types.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use waxseal_core::decision::InvalidDecision;

/// Why there is no decision on a message (R28). It costs that message what the
/// administrator set (`on-error`), and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyError {
    /// Wall clock ran out.
    #[error("the policy took longer than {0:?} (limits.decision-time)")]
    TimedOut(Duration),
    /// Fuel ran out.
    #[error("the policy ran more than {0} instructions (limits.instructions)")]
    OutOfInstructions(u64),
    /// Memory ran out.
    #[error("the policy asked for more than {0} bytes of memory (limits.memory)")]
    OutOfMemory(usize),
    /// It asked the host for more than is given to one decision, or gave back
    /// more than a decision can be.
    #[error("the policy moved more data than one decision may: {0}")]
    TooMuchData(String),
    /// It called something that is not in its world.
    #[error("the policy called {0}, which no policy may")]
    ImportDenied(String),
    /// It panicked, or trapped otherwise.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// It said by itself that it cannot decide.
    #[error("the policy reports an error: {0}")]
    Reported(String),
    /// It makes up names of counters: each takes memory and disk.
    #[error(
        "the policy charges the counter {counter}, which would be new today, and {limit} new ones \
         were made already (limits.new-counters)"
    )]
    TooManyCounters {
        /// The first that could not be made.
        counter: String,
        /// How many may be made in a day.
        limit: u64,
    },
    /// Its decision cannot be carried out.
    #[error("the policy's decision is not valid: {0}")]
    #[serde(skip)]
    InvalidDecision(#[from] InvalidDecision),
    /// An address in its decision is none.
    #[error("the policy's decision is not valid: {0:?} is no address: {1}")]
    #[serde(skip)]
    InvalidAddress(String, waxseal_core::message::AddressError),
}

impl PolicyError {
    /// One word for counts and logs.
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

/// Why a policy does not get into service.
#[derive(Debug, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadError {
    /// The bytes are no component.
    #[error("this is no WebAssembly component: {0}")]
    NotAComponent(String),
    /// It imports something outside its world.
    #[error("the component imports {0}: a policy may import waxseal:policy and wasi only")]
    UnknownImport(String),
    /// Its exports or imports do not have the types of our world.
    #[error("the component is no policy of the world waxseal:policy@0.1.0: {0}")]
    WrongWorld(String),
    /// It needs more than a policy may have, whatever its settings.
    #[error("the component cannot be put in service: {0}")]
    DoesNotFit(String),
    /// It failed while it was described or configured.
    #[error("the policy failed in {call}: {error}")]
    Setup {
        /// The exported function.
        call: SetupCall,
        /// What happened.
        error: PolicyError,
    },
    /// Its settings have problems.
    #[error("the policy's settings have {} problem(s)", .0.len())]
    Settings(Vec<SettingsProblem>),
    /// The engine itself.
    #[error("wasmtime: {0}")]
    Engine(String),
    /// The process that compiles it came to nothing.
    #[error("compiling the policy in a process of its own: {0}")]
    Compiler(String),
}

/// What is called while a policy is loaded.
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

/// A problem of the settings, as the policy tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsProblem {
    /// Bytes of the settings text.
    pub span: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was expected.
    pub expected: Option<String>,
}

/// A guest called an import that is denied. Kept as a type so that it can be
/// told from other traps.
#[derive(Debug, Error)]
#[error("{0} is denied")]
pub(super) struct Denied(pub(super) String);

/// The decision's time was over while the host worked on the message for it.
#[derive(Debug, Error)]
#[error("the time is over")]
pub(super) struct Overtime;

/// A guest asked for more than it is given.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct OverBudget(pub(super) String);
