//! The pipeline behind the milter server.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Mode;
use crate::decision::{Reply, Verdict};
use crate::message::{self, Client, Envelope, Message, Recipient};
use crate::milter::{
    EnvelopeInfo, Filter, Interest, InvalidAddress, Listener, Receipt, ReplyStatus, Response,
    Submission,
};
use crate::pipeline::{
    Direction, Disposition, Outcome, PolicySnapshot, Unroutable, route_returned,
};
use crate::rollout::{ActiveVersion, PolicyService};

/// Decides on messages with the version in service when they began.
pub struct PolicyFilter {
    service: Arc<PolicyService>,
}

/// What a message is decided with.
pub struct Transaction {
    version: Arc<ActiveVersion>,
    mode: Mode,
}

impl PolicyFilter {
    /// A filter that asks the policy in service.
    pub fn new(service: Arc<PolicyService>) -> Self {
        Self { service }
    }
}

impl Filter for PolicyFilter {
    type Transaction = Transaction;

    fn begin(&self, listener: &Listener) -> Transaction {
        let version = self.service.begin();
        let known = version
            .snapshot()
            .config()
            .listeners
            .iter()
            .find(|known| *known.name == *listener.name);
        // A listener that a reload took out of the configuration: what comes
        // through it is mixed mail, which signs nothing for strangers.
        let mode = known.map_or(Mode::Mixed, |known| known.mode);
        Transaction { version, mode }
    }

    fn wants(&self, transaction: &Transaction, envelope: &EnvelopeInfo<'_>) -> Interest {
        match direction(transaction, envelope.client, envelope.submitted_locally) {
            Direction::Outgoing => Interest::Decide,
            Direction::Returning => Interest::Header,
            Direction::Passing(_) => Interest::Pass,
        }
    }

    fn limits(&self, transaction: &Transaction) -> Option<(message::Limits, Duration)> {
        let limits = &transaction.version.snapshot().config().limits;
        Some((limits.message, limits.processing_time))
    }

    async fn filter(&self, transaction: Transaction, submission: Submission) -> Response {
        let direction = direction(
            &transaction,
            &submission.client,
            submission.submitted_locally,
        );
        let version = transaction.version;
        let snapshot = version.snapshot();
        let message = match collected(snapshot, submission) {
            Ok(message) => message,
            Err((queue_id, unreadable, reply)) => {
                tracing::warn!(queue_id, "refused: {unreadable}");
                return Response::new(Verdict::Reject(reply));
            }
        };
        match direction {
            Direction::Outgoing => self.decide(&version, message).await,
            Direction::Returning => route(snapshot, &message),
            Direction::Passing(_) => Response::accept(),
        }
    }
}

/// Mail of this host's own programs (`sendmail`) has no client. It is outgoing
/// where loopback is listed, as it would be had they connected.
fn direction(transaction: &Transaction, client: &Client, submitted_locally: bool) -> Direction {
    let config = transaction.version.snapshot().config();
    if submitted_locally {
        let client = client
            .clone()
            .with_address(IpAddr::from(Ipv4Addr::LOCALHOST));
        return Direction::of(config, transaction.mode, &client);
    }
    Direction::of(config, transaction.mode, client)
}

impl PolicyFilter {
    async fn decide(&self, version: &Arc<ActiveVersion>, message: Message) -> Response {
        let message = Arc::new(message);
        let outcome = self.service.process(version, Arc::clone(&message)).await;
        log_message(&message.envelope, &outcome);
        let verdict = outcome.verdict();
        match outcome.disposition {
            Disposition::Deliver(delivery) => {
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
            _ => Response::new(verdict),
        }
    }
}

/// One line for each message decided, with what an administrator looks for.
fn log_message(envelope: &Envelope, outcome: &Outcome) {
    if outcome.failure().is_some() {
        return;
    }
    let verdict = match outcome.verdict() {
        Verdict::Accept => "accept",
        Verdict::Reject(_) => "reject",
        Verdict::Defer(_) => "defer",
        Verdict::Discard => "discard",
        Verdict::Hold(_) => "hold",
    };
    let delivery = outcome.delivery();
    tracing::info!(
        queue_id = envelope.queue_id,
        listener = envelope.listener,
        from = envelope.sender.as_str(),
        verdict,
        relay = delivery
            .and_then(|delivery| delivery.relay.as_ref())
            .map_or("default", |relay| relay.as_str()),
        return_path = delivery
            .map_or(&envelope.sender, |delivery| &delivery.return_path)
            .as_str(),
        signatures = delivery.map_or(0, |delivery| delivery.signatures.len()),
        "{}",
        outcome.reasons.join("; ")
    );
}

/// A copy that came back by the split listener.
fn route(snapshot: &PolicySnapshot, message: &Message) -> Response {
    let queue_id = message.envelope.queue_id.as_str();
    match route_returned(snapshot, message) {
        Ok(returned) => {
            let relay = returned
                .relay
                .as_ref()
                .map_or("none", |relay| relay.as_str());
            let first = returned.first_queue_id.as_str();
            tracing::info!(
                queue_id,
                first,
                relay,
                "routed a copy of a message with recipients on both sides"
            );
            Response::accept()
                .with_edits(returned.edits)
                .with_transient_headers(returned.transient_headers)
        }
        Err(unroutable) => {
            let listener = message.envelope.listener.as_str();
            match &unroutable {
                Unroutable::UnknownSeal { .. } => {
                    tracing::error!(queue_id, listener, "deferred: {unroutable}");
                }
                Unroutable::NoRelay { .. } => {
                    tracing::warn!(queue_id, listener, "deferred: {unroutable}");
                }
            }
            Response::new(Verdict::Defer(Reply {
                code: 451,
                enhanced: "4.7.1".to_owned(),
                text: "this message cannot be routed now; Waxseal's log says why".to_owned(),
            }))
        }
    }
}

type Refused = (String, InvalidAddress, Reply);

/// What the milter collected, as a message to decide on.
fn collected(snapshot: &PolicySnapshot, submission: Submission) -> Result<Message, Refused> {
    let queue_id = submission.queue_id;
    let refused = |queue_id: &str, unreadable: InvalidAddress, enhanced: &str, what: &str| {
        let text = format!("the {what} address is not valid: {}", unreadable.error);
        (
            queue_id.to_owned(),
            unreadable,
            Reply {
                code: 553,
                enhanced: enhanced.to_owned(),
                text,
            },
        )
    };
    let sender = submission
        .sender
        .map_err(|unreadable| refused(&queue_id, unreadable, "5.1.7", "sender's"))?;
    let mut recipients = Vec::with_capacity(submission.recipients.len());
    for recipient in submission.recipients {
        let address = recipient
            .address
            .map_err(|unreadable| refused(&queue_id, unreadable, "5.1.3", "recipient's"))?;
        let local = snapshot.config().is_local(&address);
        recipients.push(Recipient::new(address, local));
    }
    Ok(Message::builder(submission.content, submission.arrival)
        .queue_id(queue_id)
        .listener(&*submission.listener.name)
        .client(submission.client)
        .sender(sender)
        .recipients(recipients)
        .build())
}
