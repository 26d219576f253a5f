//! Result of a policy call.

use std::time::Duration;

use waxseal_core::decision::Decision;
use waxseal_runtime::{LogLine, PolicyError, Seed};

/// Result of one policy call, before anything is looked up, charged or edited.
#[derive(Clone, Debug)]
pub struct PolicyResult {
    /// The decision, or why the call failed.
    pub decision: Result<Decision, PolicyError>,
    /// Lines that the policy logged.
    pub log: Vec<LogLine>,
    /// Random seed of the call: with it, the call can be repeated.
    pub seed: Seed,
    /// Resources used.
    pub cost: Cost,
}

/// Resources used by a policy call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Wall clock, including the wait for a free slot.
    pub time: Duration,
    /// Instructions executed (fuel).
    pub instructions: u64,
    /// Bytes of linear memory at the end.
    pub memory: usize,
}
