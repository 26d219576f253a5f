//! R25: a policy sees its message and its facts, and nothing else; and the same
//! of them give the same decision.

use waxseal::runtime::{PolicyError, Sandbox, Seed};

use crate::given::{
    ARRIVAL, LIMITS, SEED, answer, answer_of, component, decide, error, facts, message,
    misbehaving, sandbox,
};

#[tokio::test(flavor = "multi_thread")]
async fn r25_there_is_no_environment_no_argument_and_no_file() {
    assert_eq!(
        answer(misbehaving().await, "look around").await,
        "0 variables, 0 arguments, file denied, folder denied, new file denied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_reaching_for_the_network_is_denied_with_the_name_of_what_was_called() {
    let stopped = error(misbehaving().await, "connect").await;
    let PolicyError::ImportDenied(name) = stopped else {
        panic!("{stopped:?}");
    };
    assert!(name.starts_with("wasi:sockets/"), "{name}");
    assert!(name.contains('#'), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_the_clock_shows_the_arrival() {
    let clock = answer(misbehaving().await, "clock").await;
    assert_eq!(clock, format!("Ok({ARRIVAL}) 0ns"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_randomness_is_the_seeds() {
    let policy = misbehaving().await;
    let random = async |seed: Seed| {
        let decided = policy.decide(message("random"), facts(), seed).await;
        answer_of(decided, "random")
    };
    let first = random(SEED).await;
    assert_eq!(first, random(SEED).await);
    assert_ne!(first, random(Seed::new([8; 32])).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_nothing_is_kept_from_one_message_to_the_next() {
    let policy = misbehaving().await;
    for _ in 0..20 {
        assert_eq!(answer(policy, "count").await, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_the_same_message_facts_and_seed_give_the_same_decision_in_as_many_instructions() {
    let policy = misbehaving().await;
    for subject in ["clock", "random", "lookups", "look around", "well"] {
        let first = decide(policy, subject).await;
        let second = decide(policy, subject).await;
        assert_eq!(first.decision, second.decision, "{subject}");
        assert!(first.decision.is_ok(), "{subject}: {first:?}");
        assert!(first.instructions > 0, "{subject}");
        assert_eq!(first.instructions, second.instructions, "{subject}");
        assert_eq!(first.memory, second.memory, "{subject}");
    }
}

/// Baking gives the same component each time, seeds of hash maps included; and
/// code that is not optimised does the same.
#[tokio::test(flavor = "multi_thread")]
async fn r25_a_policy_that_is_loaded_again_decides_the_same_in_as_many_instructions() {
    let settings = include_str!("../../../../examples/acme/settings.toml");
    let trials = Sandbox::for_trials(LIMITS).expect("a sandbox");
    let mut all = Vec::new();
    for sandbox in [sandbox(), sandbox(), &trials] {
        let component = component("waxseal_standard");
        let policy = sandbox.load(component, settings.into(), &SEED).await;
        let policy = policy.expect("it loads");
        assert!(policy.is_preinitialized());
        all.push(decide(&policy, "hello").await);
    }
    for other in &all[1..] {
        assert!(other.decision.is_ok(), "{other:?}");
        assert_eq!(all[0].decision, other.decision);
        assert_eq!(all[0].instructions, other.instructions);
    }
}
