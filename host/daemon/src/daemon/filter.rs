//! The milter front: submissions to messages, outcomes to responses.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use waxseal::intake::{self, Direction, Intake, Received};
use waxseal::pipeline::{Disposition, Outcome};
use waxseal_core::decision::{Reply, Verdict};
use waxseal_core::message;
use waxseal_milter::{
    EnvelopeInfo, Filter, Interest, Listener, Receipt, ReplyStatus, Response, Submission,
};

/// Passes the messages of a milter server to an intake.
#[derive(Debug)]
pub struct PolicyFilter {
    intake: Intake,
}

/// A message, and its direction once its envelope is complete.
#[derive(Debug)]
pub struct Transaction {
    begun: intake::Transaction,
    direction: OnceLock<Direction>,
}

impl PolicyFilter {
    /// A filter in front of an intake.
    pub fn new(intake: Intake) -> Self {
        Self { intake }
    }

    async fn respond(&self, direction: Direction, received: Received) -> Result<Response, Reply> {
        let outcome = match direction {
            Direction::Outgoing(outgoing) => {
                let message = Arc::new(outgoing.message(received)?);
                Box::pin(self.intake.process(outgoing, message)).await
            }
            Direction::Returning(returning) => {
                let message = returning.message(received)?;
                self.intake.resume(&returning, &message)
            }
            Direction::Passing(_) => return Ok(Response::accept()),
        };
        Ok(response(outcome))
    }
}

impl Filter for PolicyFilter {
    type Transaction = Transaction;

    fn begin(&self, listener: &Listener) -> Transaction {
        Transaction {
            begun: self.intake.begin(&listener.name),
            direction: OnceLock::new(),
        }
    }

    fn wants(&self, transaction: &Transaction, envelope: &EnvelopeInfo<'_>) -> Interest {
        let classify = || {
            let begun = &transaction.begun;
            begun.classify(envelope.client, envelope.submitted_locally)
        };
        match transaction.direction.get_or_init(classify) {
            Direction::Outgoing(_) => Interest::Decide,
            Direction::Returning(_) => Interest::Header,
            Direction::Passing(_) => Interest::Pass,
        }
    }

    fn limits(&self, transaction: &Transaction) -> Option<(message::Limits, Duration)> {
        Some(transaction.begun.limits())
    }

    async fn filter(&self, transaction: Transaction, submission: Submission) -> Response {
        let Transaction { begun, direction } = transaction;
        let direction = direction
            .into_inner()
            .unwrap_or_else(|| begun.classify(&submission.client, submission.submitted_locally));
        let received = Received {
            queue_id: submission.queue_id,
            client: submission.client,
            sender: submission.sender,
            recipients: submission
                .recipients
                .into_iter()
                .map(|recipient| recipient.address)
                .collect(),
            arrival: Timestamp::try_from(submission.arrival).unwrap_or_else(|_| Timestamp::now()),
            content: submission.content,
        };
        match self.respond(direction, received).await {
            Ok(response) => response,
            Err(reply) => Response::new(Verdict::Reject(reply)),
        }
    }
}

/// The response of an outcome. The charge is confirmed once the MTA has it.
fn response(outcome: Outcome) -> Response {
    let verdict = outcome.verdict();
    let Disposition::Deliver(delivery) = outcome.disposition else {
        return Response::new(verdict);
    };
    let charge = delivery.charge;
    let receipt = Receipt::new(move |status| match status {
        ReplyStatus::Written => charge.confirm(),
        _ => drop(charge),
    });
    Response::new(verdict)
        .with_edits(delivery.edits)
        .with_transient_headers(delivery.transient_headers)
        .with_receipt(receipt)
}
