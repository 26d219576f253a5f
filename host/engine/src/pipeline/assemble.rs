//! Assembly of outcomes from what the steps of the pipeline return.

use super::apply::AppliedEdits;
use super::charge_guard::ChargeGuard;
use super::failure::Failure;
use super::outcome::{Delivery, Disposition, Outcome};
use super::policy_result::PolicyResult;
use super::resolve::ResolvedRoute;
use super::snapshot::PolicySnapshot;
use super::split;
use crate::config::OnError;
use waxseal_core::decision::{Decision, Reply, Verdict};
use waxseal_core::message::{Excess, Message};
use waxseal_system::pool::DeadlineExceeded;

fn bare(snapshot: &PolicySnapshot, disposition: Disposition) -> Outcome {
    Outcome {
        disposition,
        result: None,
        author: None,
        labels: Vec::new(),
        reasons: Vec::new(),
        policy: snapshot.policy_id(),
    }
}

/// The message exceeds a limit, so the policy is not called.
pub(super) fn over_limit(snapshot: &PolicySnapshot, excess: Excess) -> Outcome {
    let reasons = vec![excess.to_string()];
    let verdict = excess.into();
    Outcome {
        reasons,
        ..bare(snapshot, Disposition::Refuse { verdict })
    }
}

/// The policy rejected, deferred or discarded the message, or a limit is reached.
pub(super) fn rejected(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: Decision,
    verdict: Verdict,
) -> Outcome {
    Outcome {
        author: author(message),
        labels: decision.labels,
        reasons: decision.reasons,
        ..bare(snapshot, Disposition::Refuse { verdict })
    }
}

/// The message is delivered or held.
pub(super) fn delivered(
    snapshot: &PolicySnapshot,
    decision: Decision,
    route: ResolvedRoute,
    applied: AppliedEdits,
    charge: ChargeGuard,
) -> Outcome {
    let mut reasons = decision.reasons;
    reasons.extend(route.reasons);
    reasons.extend(applied.reasons);
    let delivery = Delivery {
        hold: match decision.verdict {
            Verdict::Hold(why) => Some(why),
            _ => None,
        },
        relay: route.relay,
        fallbacks: route.fallbacks,
        return_path: route.return_path,
        signatures: applied.signatures,
        disclaimers: applied.disclaimers,
        charges: route.charges,
        edits: applied.edits,
        transient_headers: applied.transient_headers,
        charge,
    };
    Outcome {
        author: applied.author,
        labels: decision.labels,
        reasons,
        ..bare(snapshot, Disposition::Deliver(Box::new(delivery)))
    }
}

/// The outcome of a copy that returned through the split listener, and the queue
/// id of its first pass.
pub(crate) fn resumed(snapshot: &PolicySnapshot, message: &Message) -> (Outcome, Option<String>) {
    let returned = match split::route_returned(snapshot, message) {
        Ok(returned) => returned,
        Err(unroutable) => {
            let failure = Failure::Unroutable(unroutable);
            let reasons = vec![failure.to_string()];
            let verdict = Verdict::Defer(Reply {
                code: 451,
                enhanced: "4.7.1".to_owned(),
                text: "this message cannot be routed now; see the log of Waxseal".to_owned(),
            });
            let outcome = Outcome {
                reasons,
                ..bare(snapshot, Disposition::Failed { failure, verdict })
            };
            return (outcome, None);
        }
    };
    let delivery = Delivery {
        hold: None,
        relay: returned.relay,
        fallbacks: Vec::new(),
        return_path: message.envelope.sender.clone(),
        signatures: Vec::new(),
        disclaimers: Vec::new(),
        charges: Vec::new(),
        edits: returned.edits,
        transient_headers: returned.transient_headers,
        charge: ChargeGuard::none(),
    };
    let outcome = bare(snapshot, Disposition::Deliver(Box::new(delivery)));
    (outcome, Some(returned.first_queue_id))
}

/// The outcome of a message that exceeded the deadline of its job.
pub(crate) fn late(
    snapshot: &PolicySnapshot,
    message: &Message,
    late: DeadlineExceeded,
) -> Outcome {
    failed(snapshot, message, late.into())
}

/// The outcome of a message that could not be processed.
///
/// `policy.on-error` applies only to failures of the policy. Any other failure (a store that is full or locked, a missing key,
/// a signature, a deadline) defers the message: it is never delivered unsigned or uncounted, and is never lost.
pub(super) fn failed(snapshot: &PolicySnapshot, message: &Message, failure: Failure) -> Outcome {
    let verdict = verdict_of(&failure, snapshot.config().policy.on_error);
    Outcome {
        author: author(message),
        reasons: vec![failure.to_string()],
        ..bare(snapshot, Disposition::Failed { failure, verdict })
    }
}

fn verdict_of(failure: &Failure, on_error: OnError) -> Verdict {
    let on_error = match failure {
        Failure::Policy(_) => on_error,
        _ => OnError::Defer,
    };
    match (failure.is_of_message(), on_error) {
        // The message itself cannot be sent as required: a retry cannot succeed.
        (true, _) => Verdict::Reject(Reply {
            code: 554,
            enhanced: "5.6.0".to_owned(),
            text: format!("this message cannot be sent: {failure}"),
        }),
        (false, OnError::Accept) => Verdict::Accept,
        (false, OnError::Defer) => Verdict::Defer(Reply {
            code: 451,
            enhanced: "4.7.1".to_owned(),
            text: "Service unavailable - try again later".to_owned(),
        }),
        (false, OnError::Reject) => Verdict::Reject(Reply {
            code: 554,
            enhanced: "5.7.1".to_owned(),
            text: "this message was rejected because a local policy failed".to_owned(),
        }),
    }
}

pub(super) fn with_result(outcome: Outcome, result: PolicyResult) -> Outcome {
    Outcome {
        result: Some(result),
        ..outcome
    }
}

fn author(message: &Message) -> Option<String> {
    message.content.header("From").into_iter().next()
}
