//! R28: what a policy does costs its own message, and no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use waxseal::runtime::{Limits, Policy};

use crate::given::{LIMITS, SEED, answer, decide, facts, message, with_limits};

/// Failures and their kinds.
const HOSTILE: [(&str, &str); 12] = [
    ("trap", "trapped"),
    ("loop", "timed-out"),
    ("sleep", "timed-out"),
    ("memory", "out-of-memory"),
    ("overflow", "trapped"),
    ("aliases", "too-much-data"),
    ("handles", "too-much-data"),
    ("connect", "import-denied"),
    ("abort", "trapped"),
    ("exit", "trapped"),
    ("too many", "invalid-decision"),
    ("error", "reported"),
];

/// Enough slots that hostile and innocent decisions run side by side.
const CROWDED: Limits = Limits {
    time: Duration::from_secs(5),
    instructions: u64::MAX,
    decisions: 16,
    ..LIMITS
};

fn spawn(set: &mut JoinSet<(&'static str, String)>, policy: &Arc<Policy>, subject: &'static str) {
    let policy = Arc::clone(policy);
    set.spawn(async move {
        let decided = policy.decide(message(subject), facts(), SEED).await;
        let outcome = match decided.decision {
            Ok(decision) => decision.reasons.join(", "),
            Err(error) => error.kind().to_owned(),
        };
        (subject, outcome)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_innocent_messages_are_all_decided_on_while_others_fail_in_every_way() {
    let policy = Arc::new(with_limits(CROWDED).await);
    let mut running = JoinSet::new();
    for (subject, _) in HOSTILE {
        spawn(&mut running, &policy, subject);
        for _ in 0..40 {
            spawn(&mut running, &policy, "well");
        }
    }
    let mut innocent = 0;
    while let Some(done) = running.join_next().await {
        let (subject, outcome) = done.expect("no panic of the host's");
        let expected = HOSTILE.iter().find(|(hostile, _)| *hostile == subject);
        match expected {
            Some((_, kind)) => assert_eq!(outcome, *kind, "{subject}"),
            None => {
                assert_eq!(outcome, "nothing asked for");
                innocent += 1;
            }
        }
    }
    assert_eq!(innocent, 40 * HOSTILE.len());
}

/// Two slots and many messages: those that find no slot wait for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r28_messages_wait_for_their_turn() {
    let policy = with_limits(Limits {
        decisions: 2,
        ..LIMITS
    });
    let policy = Arc::new(policy.await);
    let mut running = JoinSet::new();
    for _ in 0..200 {
        spawn(&mut running, &policy, "well");
    }
    while let Some(done) = running.join_next().await {
        assert_eq!(done.expect("no panic").1, "nothing asked for");
    }
}

/// Whatever stopped a decision, its slot is free for the next.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_decision_that_was_stopped_leaves_its_only_slot() {
    let one = Limits {
        decisions: 1,
        instructions: u64::MAX,
        ..LIMITS
    };
    let patient = with_limits(one).await;
    let impatient = with_limits(Limits {
        time: Duration::from_millis(50),
        ..one
    });
    let impatient = impatient.await;
    for (subject, kind) in HOSTILE {
        let policy = match kind {
            "timed-out" => &impatient,
            _ => &patient,
        };
        let stopped = decide(policy, subject).await.decision;
        assert_eq!(stopped.expect_err(subject).kind(), kind, "{subject}");
        // Wait, or the next decision could time out.
        for _ in 0..3 {
            assert_eq!(answer(&patient, "count").await, "1", "after {subject}");
        }
    }
    assert_eq!(answer(&impatient, "count").await, "1");
}

/// So does one that nobody waits for any more: its client hung up.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_decision_that_is_given_up_leaves_its_only_slot() {
    let policy = with_limits(Limits {
        decisions: 1,
        instructions: u64::MAX,
        ..LIMITS
    });
    let policy = policy.await;
    for subject in ["loop", "sleep", "loop", "sleep"] {
        let patience = Duration::from_millis(20);
        let given_up = tokio::time::timeout(patience, decide(&policy, subject)).await;
        assert!(given_up.is_err(), "{subject}: {given_up:?}");
        assert_eq!(answer(&policy, "well").await, "nothing asked for");
    }
}
