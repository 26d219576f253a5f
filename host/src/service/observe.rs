//! Who else sees what is decided: recordings, a candidate in shadow.

use std::sync::Arc;

use super::version::Version;
use crate::message::Message;
use crate::pipeline::Outcome;
use crate::policy::RecordedFacts;

/// Sees each message that has been processed, before its reply is written.
///
/// It is called on the task of the message, which waits for it: what takes long
/// is handed to a task or a thread of its own, within bounds.
pub trait Observer: Send + Sync {
    /// A message has been processed.
    fn decided(&self, observed: &Observed<'_>);
}

/// A message, and all that its decision came from. With the same facts, another
/// version can be asked about it ([`decide`](crate::pipeline::decide)).
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The version that decided.
    pub version: &'a Arc<Version>,
    /// The message as it came.
    pub message: &'a Arc<Message>,
    /// What was asked of the host, and its answers.
    pub facts: &'a RecordedFacts,
    /// What came of it; what the policy alone said is its `ruling`.
    pub outcome: &'a Outcome,
}
