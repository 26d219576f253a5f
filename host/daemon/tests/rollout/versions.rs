//! Swaps, statistics, going back by command and by itself.

use std::sync::{Arc, Mutex};

use waxseal::rollout::{
    ActivationReason, DecisionEvent, Observer, RECORDS, RETAINED_VERSIONS, RollbackError,
};

use crate::given::{Place, message, now, process, process_of, process_with, service, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_a_message_finishes_on_the_version_that_it_began_with() {
    let place = Place::new("");
    let service = place.service().await;
    let began = service.begin();
    let second = place.with_settings("second").await;
    let versions = service.versions();
    versions.activate(second, ActivationReason::Command, now());
    assert_eq!(settings(&service, &began).await, "first");
    assert_eq!(settings(&service, &service.begin()).await, "second");
    versions.roll_back(None, now()).expect("a version before");
    assert_eq!(settings(&service, &service.begin()).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_going_back_does_not_go_to_and_fro() {
    let place = Place::new("");
    let service = place.service().await;
    let versions = service.versions();
    for name in ["second", "third", "fourth"] {
        let snapshot = place.with_settings(name).await;
        versions.activate(snapshot, ActivationReason::Command, now());
    }
    for expected in ["third", "second"] {
        let back = versions.roll_back(None, now()).expect("a version before");
        assert_eq!(settings(&service, &back.version).await, expected);
    }
    let none = versions.roll_back(None, now()).err();
    assert_eq!(none, Some(RollbackError::NoneBefore(vec![])));
    assert_eq!(settings(&service, &service.begin()).await, "second");
    let listed: Vec<(u64, bool)> = versions
        .history()
        .iter()
        .map(|record| (record.number, record.retained))
        .collect();
    // The one that was left last is kept for a rollback to its number.
    let expected = [(6, true), (5, true), (4, false), (3, false), (2, false)];
    assert_eq!(listed[..5], expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_a_version_that_fails_on_many_messages_in_a_row_is_left_by_itself() {
    let place = Place::new("roll-back-after = 3\nroll-back-share = \"0%\"");
    let service = place.service().await;
    process(&service, "well", "0").await;
    let second = place.with_settings("second\ntrap on poison").await;
    let failing = service
        .versions()
        .activate(second, ActivationReason::FilesChanged, now());
    for text in ["1", "2"] {
        process_of(&service, text, "poison", text).await;
    }
    // One that goes well, and the same message twice, are no third in a row.
    process(&service, "well", "3").await;
    for (login, text) in [("4", "4"), ("5", "5"), ("6", "5"), ("7", "5")] {
        process_of(&service, login, "poison", text).await;
    }
    assert_eq!(service.begin().number(), failing.number());
    process_of(&service, "8", "poison", "6").await;
    let back = service.begin();
    assert_eq!(settings(&service, &back).await, "first");
    let ActivationReason::AutomaticRollback {
        from: 2,
        to: 1,
        errors: 3,
        of: None,
        error,
    } = back.reason()
    else {
        panic!("{:?}", back.reason());
    };
    assert!(error.contains("the settings trap on poison"), "{error}");
    // What is in flight of the version that was left changes nothing more, and
    // there is nothing left to go back to.
    for text in ["7", "8", "9", "10"] {
        process_with(&service, &failing, message("poison", text)).await;
        process_of(&service, text, "trap", text).await;
    }
    assert_eq!(service.begin().number(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_going_back_by_itself_skips_what_has_not_shown_that_it_is_good() {
    let place = Place::new("roll-back-after = 1");
    let service = place.service().await;
    process(&service, "well", "1").await;
    for name in ["untried", "failing\ntrap on poison"] {
        let snapshot = place.with_settings(name).await;
        service
            .versions()
            .activate(snapshot, ActivationReason::Command, now());
    }
    process_of(&service, "ann", "poison", "2").await;
    assert_eq!(settings(&service, &service.begin()).await, "first");
    let kept = service.versions().retained();
    let numbers: Vec<u64> = kept.iter().map(|version| version.number()).collect();
    assert_eq!(numbers, [3], "by its number alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_each_version_has_its_own_numbers() {
    let place = Place::new("");
    let service = place.service().await;
    process(&service, "well", "1").await;
    process(&service, "trap", "2").await;
    let second = place.with_settings("second").await;
    service
        .versions()
        .activate(second, ActivationReason::Command, now());
    process(&service, "well", "3").await;
    let history = service.versions().history();
    let [second, first] = &history[..] else {
        panic!("{history:?}");
    };
    assert_eq!(
        (first.statistics.messages, second.statistics.messages),
        (2, 1)
    );
    assert_eq!(first.statistics.errors.get("trapped"), Some(&1));
    assert_eq!(first.statistics.consecutive_errors, 1);
    let error = first.statistics.last_error.as_ref().expect("an error");
    assert_eq!((error.queue_id.as_str(), error.at), ("Q2", now()));
    assert_eq!(
        (second.statistics.failed(), &second.reason),
        (0, &ActivationReason::Command)
    );
    assert_eq!(first.until, Some(second.since));
    assert_ne!(first.inputs.settings, second.inputs.settings);
    assert_eq!(first.inputs.component, second.policy.digest);
    let times = second.statistics.decision_time;
    assert!(times.p50_ns > 0 && times.p50_ns <= times.p99_ns && times.p99_ns <= times.maximum_ns);
    assert!(second.statistics.instructions.mean > 0 && second.statistics.memory.maximum > 0);
}

#[derive(Default)]
struct Seen(Mutex<Vec<(u64, String, String)>>);

impl Observer for Seen {
    fn decided(&self, event: &DecisionEvent<'_>) {
        let entry = (
            event.version.number(),
            event.message.envelope.queue_id.clone(),
            event.facts.now.timestamp().to_string(),
        );
        self.0.lock().expect("a list").push(entry);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observers_see_what_is_decided_until_their_subscription_is_dropped() {
    let place = Place::new("");
    let service = service(Arc::clone(place.service().await.versions()));
    let seen = Arc::new(Seen::default());
    process(&service, "well", "1").await;
    // The same observer twice is two subscriptions.
    let first = service.observe(seen.clone());
    let second = service.observe(seen.clone());
    process(&service, "well", "2").await;
    drop(first);
    process(&service, "well", "3").await;
    drop(second);
    process(&service, "well", "4").await;
    let entry = |queue_id: &str| (1, queue_id.to_owned(), now().to_string());
    let found = std::mem::take(&mut *seen.0.lock().expect("a list"));
    assert_eq!(found, [entry("Q2"), entry("Q2"), entry("Q3")]);
    assert_eq!(Arc::strong_count(&seen), 1, "the service holds it no more");
    // A subscription may outlive the service.
    let last = service.observe(seen.clone());
    drop(service);
    drop(last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_versions_that_nobody_can_go_back_to_are_let_go_of() {
    let place = Place::new("");
    let service = place.service().await;
    let versions = service.versions();
    let began = service.begin();
    let mut all = vec![Arc::downgrade(began.snapshot())];
    for number in 0..RETAINED_VERSIONS + 3 {
        let snapshot = place.with_settings(&format!("number {number}")).await;
        all.push(Arc::downgrade(&snapshot));
        versions.activate(snapshot, ActivationReason::Command, now());
    }
    let alive = || all.iter().filter(|one| one.strong_count() > 0).count();
    // The one in service, those before it, and that of a message in flight.
    assert_eq!(alive(), RETAINED_VERSIONS + 2);
    drop(began);
    assert_eq!(alive(), RETAINED_VERSIONS + 1);
    // The one before, and the one that was left.
    versions.roll_back(None, now()).expect("a version before");
    assert_eq!(alive(), RETAINED_VERSIONS);
    assert_eq!(
        versions.history().len(),
        RETAINED_VERSIONS + 5,
        "all are listed"
    );
    let others = [
        place.with_settings("one").await,
        place.with_settings("two").await,
    ];
    for _ in 0..RECORDS {
        for snapshot in &others {
            versions.activate(Arc::clone(snapshot), ActivationReason::Command, now());
        }
    }
    assert_eq!(versions.history().len(), RECORDS + 1);
}
