//! The messages between the daemon and the process that compiles.

use serde::{Deserialize, Serialize};

use super::compile::Compiled;
use crate::deterministic_env::Seed;
use crate::engine::{Code, Fingerprint};
use crate::error::LoadError;
use crate::inspect::Inspection;

/// A request. The component and the settings follow it.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkerRequest {
    pub(super) fingerprint: Fingerprint,
    pub(super) code: Code,
    pub(super) seed: Seed,
    /// Bytes of linear memory that the policy may use.
    pub(super) memory: usize,
    /// Bytes of the component. The rest are the settings.
    pub(super) component: usize,
    pub(super) task: Task,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Task {
    /// Compile the component.
    Compile,
    /// Report on the component, as [`inspect`](crate::inspect()) does.
    Inspect {
        /// Whether settings were given; without any is not the same as with an empty
        /// text.
        with_settings: bool,
    },
}

/// A reply. Compiled code follows it.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkerReply {
    pub(super) outcome: WorkerOutcome,
    /// The parts of its sandbox that the kernel does not support.
    pub(super) unconfined: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WorkerOutcome {
    Compiled(Compiled),
    /// The policy cannot be loaded.
    Refused(LoadError),
    Inspected(Inspection),
    /// The worker is another version of the program: its code would not run here.
    OtherEngine,
}
