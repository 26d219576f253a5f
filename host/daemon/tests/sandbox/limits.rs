//! R28: each limit has a name of its own, and is reached.

use std::time::Duration;

use waxseal::runtime::{Limits, LogLevel, PolicyError};

use crate::given::{
    LIMITS, SEED, answer, decide, error, facts, misbehaving, with_limits, with_text,
};

/// Little time, and instructions for years.
const IMPATIENT: Limits = Limits {
    time: Duration::from_millis(50),
    instructions: u64::MAX,
    ..LIMITS
};

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_loop_is_stopped_by_the_count_of_its_instructions() {
    let policy = misbehaving().await;
    let decided = decide(policy, "loop").await;
    assert_eq!(
        decided.decision,
        Err(PolicyError::OutOfInstructions(LIMITS.instructions))
    );
    assert!(decided.instructions >= LIMITS.instructions);
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_loop_is_stopped_by_the_clock() {
    let policy = with_limits(IMPATIENT).await;
    let stopped = error(&policy, "loop").await;
    assert_eq!(stopped, PolicyError::TimedOut(IMPATIENT.time));
}

/// It would sleep for an hour.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_sleep_is_stopped_by_the_clock() {
    let policy = with_limits(IMPATIENT).await;
    let stopped = error(&policy, "sleep").await;
    assert_eq!(stopped, PolicyError::TimedOut(IMPATIENT.time));
}

/// On one thread a guest that never gave it back would stop the clock, too.
#[tokio::test(flavor = "current_thread")]
async fn r28_a_loop_on_the_only_thread_is_stopped_by_the_clock() {
    let policy = with_limits(IMPATIENT).await;
    let stopped = error(&policy, "loop").await;
    assert_eq!(stopped, PolicyError::TimedOut(IMPATIENT.time));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_endless_allocation_is_reported_as_out_of_memory() {
    let decided = decide(misbehaving().await, "memory").await;
    assert_eq!(
        decided.decision,
        Err(PolicyError::OutOfMemory(LIMITS.memory))
    );
    assert!(decided.memory <= LIMITS.memory);
}

/// A megabyte that is named 20,000 times would become 20 GB here.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_gigantic_decision_is_not_taken_in() {
    let stopped = error(misbehaving().await, "aliases").await;
    let PolicyError::TooMuchData(what) = stopped else {
        panic!("{stopped:?}");
    };
    assert!(what.contains("1048576"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_asking_for_gigabytes_of_text_is_stopped() {
    let policy = misbehaving().await;
    let large = with_text("gigabytes", &"words and more words\r\n".repeat(200_000));
    let decided = policy.decide(large, facts(), SEED).await;
    let Err(PolicyError::TooMuchData(what)) = &decided.decision else {
        panic!("{decided:?}");
    };
    assert!(what.contains("16777216"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_hoarding_handles_is_stopped() {
    let stopped = error(misbehaving().await, "handles").await;
    let expected = PolicyError::TooMuchData("more than 64 open handles".into());
    assert_eq!(stopped, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_panic_is_reported_with_its_text_and_place() {
    let decided = decide(misbehaving().await, "trap").await;
    let Err(PolicyError::Trapped(text)) = &decided.decision else {
        panic!("{decided:?}");
    };
    assert!(text.ends_with("the subject asked for it"), "{text}");
    assert!(text.contains("excess.rs:"), "{text}");
    let last = decided.log.last().expect("a line");
    assert_eq!((last.level, &last.text), (LogLevel::Error, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_stack_overflow_is_reported() {
    let stopped = error(misbehaving().await, "recursion").await;
    let text = "wasm trap: call stack exhausted".to_owned();
    assert_eq!(stopped, PolicyError::Trapped(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_stack_overflow_in_memory_is_not_reported_with_an_earlier_line() {
    let decided = decide(misbehaving().await, "overflow").await;
    let Err(PolicyError::Trapped(text)) = &decided.decision else {
        panic!("{decided:?}");
    };
    assert!(text.contains("out of bounds memory access"), "{text}");
    assert!(text.contains("stack overflow"), "{text}");
    assert_eq!(decided.log[0].text, "a word before");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_stderr_before_an_abort_is_reported() {
    let decided = decide(misbehaving().await, "abort").await;
    let expected = Err(PolicyError::Trapped("last words".into()));
    assert_eq!(decided.decision, expected);
    assert_eq!(decided.log[0].text, "last words");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_ending_the_program_ends_the_decision() {
    let stopped = error(misbehaving().await, "exit").await;
    let text = "it exited instead of deciding".to_owned();
    assert_eq!(stopped, PolicyError::Trapped(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_text_that_is_no_text_is_not_taken_in() {
    let stopped = error(misbehaving().await, "mojibake").await;
    let PolicyError::Trapped(text) = stopped else {
        panic!("{stopped:?}");
    };
    assert!(text.to_lowercase().contains("utf-8"), "{text}");
}

/// A length and a case are numbers in the guest's memory, whatever its language
/// thinks of them.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_decision_that_is_none_is_not_taken_in() {
    for (subject, word) in [
        ("absurd length", "bounds"),
        ("no such case", "discriminant"),
    ] {
        let stopped = error(misbehaving().await, subject).await;
        let PolicyError::Trapped(text) = &stopped else {
            panic!("{subject}: {stopped:?}");
        };
        assert!(text.contains(word), "{subject}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_an_error_of_the_policy_is_reported_on_one_line() {
    let stopped = error(misbehaving().await, "error").await;
    let text = "the subject asked for an error and more".to_owned();
    assert_eq!(stopped, PolicyError::Reported(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_decision_that_makes_no_sense_is_refused() {
    let policy = misbehaving().await;
    for subject in [
        "no such code",
        "another class",
        "reply with lines",
        "no address",
        "address with lines",
        "no return path",
        "no domain",
        "no signing domain",
        "forged field",
        "route field",
        "field with lines",
        "no field",
        "too many",
        "host counter",
        "counter with lines",
        "long counter",
        "long value",
    ] {
        let refused = error(policy, subject).await;
        assert_eq!(refused.kind(), "invalid-decision", "{subject}: {refused:?}");
    }
}

/// Half a megabyte of reasons would be one line of the log.
#[tokio::test(flavor = "multi_thread")]
async fn m8_a_flood_of_reasons_and_labels_is_cut_and_the_decision_stands() {
    let decided = decide(misbehaving().await, "reason flood").await;
    let decision = decided.decision.expect("a decision");
    assert_eq!((decision.reasons.len(), decision.labels.len()), (32, 32));
    let last = decision.reasons.last().expect("one");
    assert_eq!(last, "… and 69 more reasons");
    let texts = decision.reasons.iter().map(String::len);
    let labels = decision.labels.iter();
    let labels = labels.map(|label| label.name.len() + label.value.len());
    assert!(texts.chain(labels).all(|bytes| bytes <= 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_million_lookups_are_answered() {
    assert_eq!(answer(misbehaving().await, "lookups").await, "1000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_flood_of_words_is_cut_and_the_decision_stands() {
    for subject in ["flood", "stderr"] {
        let decided = decide(misbehaving().await, subject).await;
        assert!(decided.decision.is_ok(), "{subject}: {decided:?}");
        let bytes: usize = decided.log.iter().map(|line| line.text.len()).sum();
        assert!(bytes > 100, "{subject}: {bytes} bytes were kept");
        assert!(bytes < 20_000, "{subject}: {bytes} bytes were kept");
        assert!(decided.log.len() < 100, "{subject}: {}", decided.log.len());
    }
    let flood = decide(misbehaving().await, "flood").await;
    let last = flood.log.last().expect("a line");
    assert_eq!(last.text, "99937 more lines of this policy were dropped");
}
