//! A failed message that the version before decides again.

use std::sync::Arc;

use super::failures::Failed;
use super::version::ActiveVersion;
use crate::pipeline::PolicySnapshot;
use waxseal_core::message::Message;
use waxseal_runtime::{FactTrace, Seed};

/// A message that the active version failed on.
pub(super) struct RecheckJob {
    /// The message.
    pub(super) version: Arc<ActiveVersion>,
    pub(super) message: Arc<Message>,
    pub(super) failed: Failed,
    /// The error.
    pub(super) error: String,
    /// Counters of a decision that could not be charged: with one of them, the decision of the
    /// previous version would also have failed.
    pub(super) counters: Vec<String>,
    /// The previous version with the same host settings.
    pub(super) before: Arc<PolicySnapshot>,
    /// Facts that the failed decision queried. Others are looked up in their current state.
    pub(super) facts: FactTrace,
    pub(super) seed: Seed,
}
