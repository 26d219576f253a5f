//! The intake of live mail.

use std::fmt;
use std::sync::Arc;

use super::log;
use super::token::{Outgoing, Returning};
use super::transaction::Transaction;
use crate::pipeline::Outcome;
use crate::rollout::PolicyService;
use waxseal_core::message::Message;

/// Classifies and processes live mail with the active policy version.
#[derive(Clone)]
pub struct Intake {
    service: Arc<PolicyService>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// An intake in front of a service.
    pub fn new(service: Arc<PolicyService>) -> Self {
        Self { service }
    }

    /// Begins a message, at its MAIL command. `listener` is the name of the
    /// listener that it comes through. One that the configuration does not have
    /// takes mixed mail.
    pub fn begin(&self, listener: &Arc<str>) -> Transaction {
        Transaction::new(self.service.begin(), listener)
    }

    /// Processes an outgoing message: calls the policy, charges, edits and signs.
    ///
    /// Never fails: [`Outcome::failure`] has the reason why a message could not be
    /// processed, and its verdict says what the MTA is to do then.
    ///
    /// The work runs on the [pool](PolicyService::pool) and has
    /// `limits.processing-time`, unless the caller's job has a deadline of its own.
    /// It needs a Tokio runtime with time enabled. Dropping the future cancels the
    /// work and refunds the charge.
    pub async fn process(&self, outgoing: Outgoing, message: Arc<Message>) -> Outcome {
        let processing = self
            .service
            .process(outgoing.version(), Arc::clone(&message));
        let outcome = processing.await;
        log::processed(&message.envelope, &outcome);
        outcome
    }

    /// Routes a copy that returned through the split listener, by the sealed
    /// header field that the first pass wrote. Nothing is charged or signed again.
    pub fn resume(&self, returning: &Returning, message: &Message) -> Outcome {
        let (outcome, returned) = self.service.resume(returning.version(), message);
        log::returned(&message.envelope, &outcome, returned.as_deref());
        outcome
    }

    /// The service behind the intake.
    pub fn service(&self) -> &Arc<PolicyService> {
        &self.service
    }
}
