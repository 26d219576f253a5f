//! A candidate beside the version in service.

use std::sync::Arc;
use std::time::Duration;

use waxseal::config::{Config, Share};
use waxseal::pipeline::{BuildReport, PolicySnapshot};
use waxseal::rollout::{
    Comparison, PolicyService, ShadowController, ShadowError, ShadowRun, Subscription,
};
use waxseal::runtime::{Limits, Sandbox};

use crate::given::{
    Place, component, message, now, process, process_with, secrets, service, start,
};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    instructions: 100_000_000,
    memory: 64 << 20,
    decisions: 1,
};

/// What the files of a place say, in a sandbox for it alone.
async fn candidate(place: &Place) -> Arc<PolicySnapshot> {
    let sandbox = Sandbox::for_trials(LIMITS).expect("a sandbox");
    let today = now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let built = PolicySnapshot::build(&sandbox, place.config(), secrets(), today).await;
    let BuildReport { snapshot, .. } = built.unwrap_or_else(|problems| panic!("{problems:?}"));
    snapshot
}

async fn begin(
    service: &PolicyService,
    place: &Place,
    share: Share,
) -> (Arc<ShadowRun>, Subscription) {
    let candidate = candidate(place).await;
    let ledger = service.ledger();
    let shadow = Arc::new(ShadowRun::start(candidate, share, ledger, now()).expect("a thread"));
    let subscription = service.observe(shadow.clone());
    (shadow, subscription)
}

/// Waits until the candidate has seen to so many messages.
async fn compared(shadow: &ShadowRun, messages: u64) -> Comparison {
    for _ in 0..600 {
        let comparison = shadow.comparison();
        if comparison.compared + comparison.skipped >= messages {
            return comparison;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not compared: {:?}", shadow.comparison());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_like_the_version_in_service_decides_alike() {
    let place = Place::new("");
    let service = place.service().await;
    let (shadow, _subscription) = begin(&service, &place, Share::ALL).await;
    for (number, subject) in ["well", "settings", "random", "clock", "trap"]
        .iter()
        .enumerate()
    {
        process(&service, subject, &number.to_string()).await;
    }
    let comparison = compared(&shadow, 5).await;
    assert_eq!(
        (comparison.same, comparison.different),
        (5, 0),
        "{comparison:?}"
    );
    assert_eq!(comparison.errors, comparison.active_errors);
    assert_eq!(comparison.errors.get("trapped"), Some(&1));
    assert_eq!(comparison.instructions, comparison.active_instructions);
    assert_eq!(comparison.additional_queries, 0);
    assert_eq!(comparison.active, Some(comparison.candidate));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_different_decision_of_a_candidate_is_reported_and_has_no_effect() {
    let place = Place::new("");
    let service = place.service().await;
    place.write("settings.txt", "second");
    let (shadow, _subscription) = begin(&service, &place, Share::ALL).await;
    let outcome = process(&service, "settings", "0").await;
    assert_eq!(outcome.reasons, ["first"]);
    process(&service, "well", "1").await;
    let comparison = compared(&shadow, 2).await;
    assert_eq!((comparison.same, comparison.different), (1, 1));
    assert_eq!(comparison.behavioral, 0);
    assert_eq!(comparison.differences[0].kind, "reasons: changed");
    let example = &comparison.examples[0];
    assert_eq!(example.queue_id, "Q0");
    assert!(
        example.active.contains("\"reasons\":[\"first\"]"),
        "{example:?}"
    );
    assert!(
        example.candidate.contains("\"reasons\":[\"second\"]"),
        "{example:?}"
    );
    assert_eq!(service.versions().active().statistics().messages, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_given_a_share_of_the_messages() {
    let place = Place::new("");
    let service = place.service().await;
    let share = "25%".parse().expect("a share");
    let (shadow, _subscription) = begin(&service, &place, share).await;
    let version = service.begin();
    for number in 0..200 {
        let text = number.to_string();
        process_with(&service, &version, message("well", &text)).await;
    }
    let everything = Duration::from_millis(300);
    tokio::time::sleep(everything).await;
    let comparison = shadow.comparison();
    let given = comparison.compared + comparison.skipped;
    // The secret and the queue ids are given: it is always the same number.
    assert!((30..70).contains(&given), "{given}");
}

/// A candidate that loops on every message: those in service are decided on as
/// if it were not there, and what it has no time for is skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_a_candidate_that_loops_costs_no_message_anything() {
    let place = Place::new("");
    place.write("settings.txt", "");
    std::fs::copy(component("rust_minimal"), place.path("policy.wasm")).expect("copied");
    let service = place.service().await;
    std::fs::copy(component("waxseal_misbehaving"), place.path("policy.wasm")).expect("copied");
    let (shadow, _subscription) = begin(&service, &place, Share::ALL).await;
    for number in 0..600 {
        let outcome = process(&service, "loop", &number.to_string()).await;
        assert!(outcome.failure().is_none(), "{:?}", outcome.failure());
    }
    let comparison = shadow.comparison();
    assert!(comparison.skipped > 0, "{comparison:?}");
    let comparison = compared(&shadow, comparison.skipped + 1).await;
    assert_eq!(
        comparison.errors.get("out-of-instructions"),
        Some(&comparison.compared)
    );
    assert!(comparison.active_errors.is_empty());
    assert!(comparison.last_error.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_stopped_lets_go_of_everything() {
    let place = Place::new("");
    let service = place.service().await;
    let (shadow, subscription) = begin(&service, &place, Share::ALL).await;
    let candidate = Arc::downgrade(shadow.candidate());
    process(&service, "well", "0").await;
    compared(&shadow, 1).await;
    drop((subscription, shadow));
    for _ in 0..600 {
        if candidate.upgrade().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the candidate is still held");
}

/// A candidate of these settings, after so many messages it fails on.
async fn promoted(failing: u64, force: bool) -> Result<(), ShadowError> {
    let place = Place::new("");
    let manager = start(&place).await;
    let service = service(Arc::clone(manager.versions()));
    let sandbox = |_: &Config| Sandbox::for_trials(LIMITS);
    let shadows = ShadowController::new(manager, Arc::clone(&service), Box::new(sandbox));
    place.write("other.txt", "trap on poison");
    let (file, other) = (place.path("policy.wasm"), place.path("other.txt"));
    let begun = shadows.begin(file, Some(other), Share::ALL, now()).await;
    begun.expect("in shadow");
    for message in 0..10 {
        let subject = if message < failing { "poison" } else { "well" };
        process(&service, subject, &message.to_string()).await;
    }
    process(&service, "trap", "both fail").await;
    while shadows.comparison().expect("a candidate").compared < 11 {
        tokio::task::yield_now().await;
    }
    shadows.promote(force, now()).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn author_m1_a_candidate_that_failed_more_often_is_promoted_by_force_only() {
    let refused = promoted(3, false).await.expect_err("refused").to_string();
    let numbers = "failed on 4 of 11 messages in its shadow run, the active version on 1 of them";
    assert!(refused.contains(numbers), "{refused}");
    assert!(refused.contains("--force"), "{refused}");
    promoted(3, true).await.expect("forced");
    promoted(0, false).await.expect("no worse");
}
