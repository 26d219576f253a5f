//! How messages that could not be processed are answered (`policy.on-error`).

use std::sync::Arc;

use waxseal::decision::Verdict;
use waxseal::pipeline::Outcome;
use waxseal::quota::{Charge, ChargeError, ChargeRequest, Day, Ledger, ReadOnlyLedger, Receipt};
use waxseal::rollout::{PolicyService, VersionHistory};

use crate::given::{Place, now, process};

/// A ledger whose store does not serve.
struct Unavailable;

impl Ledger for Unavailable {
    fn charge(&self, _: &Day, _: &[ChargeRequest]) -> Charge {
        Charge::ready(Err(ChargeError::Closed))
    }

    fn refund(&self, _: Receipt) {}

    fn used(&self, _: &Day, _: &str) -> u64 {
        0
    }
}

async fn processed(ledger: impl Ledger, on_error: &str, subject: &str) -> Outcome {
    let place = Place::new(&format!("on-error = \"{on_error}\""));
    let versions = VersionHistory::new(place.snapshot().await, now());
    let service = Arc::new(PolicyService::new(Arc::new(ledger), Arc::new(versions)));
    process(&service, subject, "1").await
}

fn is_deferred(outcome: &Outcome) -> bool {
    matches!(outcome.verdict(), Verdict::Defer(reply) if reply.code == 451)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_accept_covers_failures_of_the_policy_only() {
    let trapped = processed(ReadOnlyLedger::default(), "accept", "trap").await;
    assert_eq!(trapped.verdict(), Verdict::Accept);
    assert_eq!(trapped.failure().expect("a failure").kind(), "trapped");
    for on_error in ["accept", "reject", "defer"] {
        let unsigned = processed(ReadOnlyLedger::default(), on_error, "sign").await;
        assert!(
            is_deferred(&unsigned),
            "{on_error}: {:?}",
            unsigned.verdict()
        );
        assert_eq!(unsigned.failure().expect("a failure").kind(), "no-key");
        let uncounted = processed(Unavailable, on_error, "well").await;
        assert!(
            is_deferred(&uncounted),
            "{on_error}: {:?}",
            uncounted.verdict()
        );
        assert_eq!(uncounted.failure().expect("a failure").kind(), "ledger");
    }
}
