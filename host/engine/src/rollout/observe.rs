//! Who else sees what is decided: recordings, a candidate in shadow.

use std::sync::Arc;

use super::version::ActiveVersion;
use crate::pipeline::Outcome;
use crate::record::{OwnedDecisionEvent, Recording};
use waxseal_core::message::Message;
use waxseal_runtime::FactTrace;

/// Sees each message that has been processed, before its reply is written.
///
/// It is called on the task of the message, which waits for it: what takes long
/// is handed to a task or a thread of its own, within bounds.
pub trait Observer: Send + Sync {
    /// A message has been processed.
    fn decided(&self, event: &DecisionEvent<'_>);
}

/// A message, and all that its decision came from. With the same facts, another
/// version can be asked about it ([`decide`](crate::pipeline::decide)).
#[derive(Clone, Copy)]
pub struct DecisionEvent<'a> {
    /// The version that decided.
    pub version: &'a Arc<ActiveVersion>,
    /// The message as it came.
    pub message: &'a Arc<Message>,
    /// What was asked of the host, and its answers.
    pub facts: &'a FactTrace,
    /// What came of it; what the policy alone said is its `result`.
    pub outcome: &'a Outcome,
}

impl DecisionEvent<'_> {
    /// The same to keep; none for a message that no policy was asked about.
    pub fn capture(&self) -> Option<OwnedDecisionEvent> {
        let snapshot = self.version.snapshot();
        Some(OwnedDecisionEvent {
            message: Arc::clone(self.message),
            facts: self.facts.clone(),
            policy: snapshot.policy_id(),
            inputs: snapshot.inputs().clone(),
            ruling: self.outcome.result.clone()?,
        })
    }
}

impl Observer for Recording {
    fn decided(&self, event: &DecisionEvent<'_>) {
        let ruling = event.outcome.result.as_ref();
        // What is not recorded is not copied either.
        if ruling.is_some_and(|ruling| self.settings().share.takes(ruling.seed.as_bytes()))
            && let Some(event) = event.capture()
        {
            self.offer(&Arc::new(event));
        }
    }
}
