//! The parts of the daemon that requests act on.

use std::sync::Arc;

use waxseal::rollout::{PolicyManager, Recordings, ShadowController};

/// The state shared by all request handlers: one field for each part of the
/// daemon.
#[derive(Clone, Debug)]
pub struct Control {
    /// Manages the active policy.
    pub manager: Arc<PolicyManager>,
    /// Manages the shadow candidate.
    pub shadows: Arc<ShadowController>,
    /// Manages the recording of decisions.
    pub recordings: Arc<Recordings>,
}
