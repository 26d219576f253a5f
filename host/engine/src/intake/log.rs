//! The log line of each message.

use crate::pipeline::{Disposition, Failure, Outcome, Unroutable};
use waxseal_core::decision::Verdict;
use waxseal_core::message::Envelope;

/// Logs an outgoing message.
pub(super) fn processed(envelope: &Envelope, outcome: &Outcome) {
    let queue_id = envelope.queue_id.as_str();
    let listener = envelope.listener.as_str();
    match &outcome.disposition {
        // The code that cancels logs the cancellation.
        Disposition::Failed {
            failure: Failure::Canceled(_),
            ..
        } => {}
        Disposition::Failed { failure, .. } => tracing::error!(
            queue_id,
            listener,
            kind = failure.kind(),
            "processing failed: {failure}"
        ),
        Disposition::Refuse { .. } if outcome.result.is_none() => {
            tracing::warn!(
                queue_id,
                listener,
                "rejected: {}",
                outcome.reasons.join("; ")
            );
        }
        _ => decided(envelope, outcome),
    }
}

fn decided(envelope: &Envelope, outcome: &Outcome) {
    let delivery = outcome.delivery();
    let verdict = match outcome.verdict() {
        Verdict::Accept => "accept",
        Verdict::Reject(_) => "reject",
        Verdict::Defer(_) => "defer",
        Verdict::Discard => "discard",
        Verdict::Hold(_) => "hold",
    };
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

/// Logs a returned copy. `first` is the queue id of its first pass.
pub(super) fn returned(envelope: &Envelope, outcome: &Outcome, first: Option<&str>) {
    let queue_id = envelope.queue_id.as_str();
    let listener = envelope.listener.as_str();
    match outcome.failure() {
        None => {
            let relay = outcome.delivery().and_then(|it| it.relay.as_ref());
            tracing::info!(
                queue_id,
                first,
                relay = relay.map_or("none", |relay| relay.as_str()),
                "routed a copy of a message with local and remote recipients"
            );
        }
        Some(failure @ Failure::Unroutable(Unroutable::NoRelay { .. })) => {
            tracing::warn!(queue_id, listener, "deferred: {failure}");
        }
        Some(failure) => tracing::error!(queue_id, listener, "deferred: {failure}"),
    }
}
