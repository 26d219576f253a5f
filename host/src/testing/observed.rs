//! The result of one case, before it is compared with the expectations.

use std::sync::Arc;
use std::time::Duration;

use super::authentication::Hop;
use super::expected::ExpectedVerdict;
use crate::message::{Content, Message};
use crate::pipeline::Outcome;

/// What came of a case.
pub(super) struct Observed {
    pub(super) verdict_kind: ExpectedVerdict,
    /// None where the message is not ours to decide on.
    pub(super) outcome: Option<Outcome>,
    /// The message as it came.
    pub(super) message: Arc<Message>,
    /// The message as it leaves.
    pub(super) content: Content,
    /// What a recipient finds, by every route.
    pub(super) hops: Vec<Hop>,
    pub(super) time: Duration,
}
