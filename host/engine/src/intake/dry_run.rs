//! Processing of messages that no MTA submitted: trials and policy tests.

use std::sync::Arc;

use super::way::{PassReason, Way, way_of_dry_run};
use crate::config::Listener;
use crate::pipeline::{MessageContext, Outcome, Pipeline, PolicySnapshot};
use crate::quota::ReadOnlyLedger;
use waxseal_core::message::Message;
use waxseal_runtime::Facts;

/// Processes messages as an [`Intake`](super::Intake) does, but charges nothing
/// and logs nothing. It takes a ledger that cannot be charged, so that it is no
/// way around the intake for live mail.
#[derive(Debug)]
pub struct DryRun {
    pipeline: Pipeline,
}

/// A message that a dry run may process.
#[derive(Debug)]
pub struct DryRunMessage {
    context: MessageContext,
}

impl DryRun {
    /// A dry run with the counters of `ledger`.
    pub fn new(ledger: ReadOnlyLedger) -> Self {
        Self {
            pipeline: Pipeline::new(Arc::new(ledger)),
        }
    }

    /// Classifies a message. Its submitter is trusted if its client has neither
    /// user nor address; else it is classified as mail that comes through
    /// `listener`, or through the listener that the configuration suggests.
    ///
    /// # Errors
    ///
    /// Why the message would pass unchanged.
    pub fn classify(
        snapshot: &Arc<PolicySnapshot>,
        listener: Option<&Listener>,
        message: &Arc<Message>,
    ) -> Result<DryRunMessage, PassReason> {
        let client = &message.envelope.client;
        match way_of_dry_run(snapshot.config(), listener, client) {
            Way::Passing(reason) => Err(reason),
            // A message that was never sent does not return.
            Way::Outgoing | Way::Returning => Ok(DryRunMessage {
                context: MessageContext::new(snapshot, message),
            }),
        }
    }

    /// Processes a message with the host's facts.
    pub async fn process(&self, message: &DryRunMessage) -> Outcome {
        let facts = Arc::new(self.facts(message));
        self.process_with(message, facts).await
    }

    /// The host's facts about a message.
    pub fn facts(&self, message: &DryRunMessage) -> impl Facts + use<> + 'static {
        self.pipeline.facts(&message.context)
    }

    /// Processes a message with given facts.
    pub async fn process_with(&self, message: &DryRunMessage, facts: Arc<dyn Facts>) -> Outcome {
        self.pipeline.process(&message.context, facts).await
    }
}
