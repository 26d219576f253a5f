//! The result of one case, before it is compared with the expectations.

use std::sync::Arc;
use std::time::Duration;

use super::authentication::Hop;
use super::expected::ExpectedVerdict;
use waxseal::pipeline::Outcome;
use waxseal_core::message::{Content, Message};

/// The result of a case.
pub(super) struct Observed {
    pub(super) verdict_kind: ExpectedVerdict,
    /// `None` if the message is not outgoing.
    pub(super) outcome: Option<Outcome>,
    /// The received message.
    pub(super) message: Arc<Message>,
    /// The resulting message.
    pub(super) content: Content,
    /// Authentication results for every route.
    pub(super) hops: Vec<Hop>,
    pub(super) time: Duration,
}
