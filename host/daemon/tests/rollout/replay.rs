//! Recordings of a service, and other versions that decide on them again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal::config::{MessageStorage, Record, Share};
use waxseal::record::{self, Messages, Options, Recording, Report};
use waxseal_daemon::testing::{self, Suite, TestEnvironment};

use crate::given::{Place, component, process};

/// Each asks for something else that has to repeat.
const SUBJECTS: [&str; 8] = [
    "well", "settings", "random", "clock", "lookups", "count", "trap", "too many",
];

/// Records what a service decides on these subjects.
async fn recorded(place: &Place, subjects: &[&str]) -> PathBuf {
    let folder = place.path("recording");
    let settings = Record {
        folder: folder.clone(),
        messages: MessageStorage::Full,
        maximum: 64 << 20,
        share: Share::ALL,
    };
    let recording = Arc::new(Recording::start(&settings).expect("a recording"));
    let service = place.service().await;
    let _subscription = service.observe(recording.clone());
    for (number, subject) in subjects.iter().enumerate() {
        process(&service, subject, &number.to_string()).await;
    }
    recording.stop();
    assert_eq!(recording.counts().written, subjects.len() as u64);
    folder
}

async fn again(place: &Place, recording: &Path) -> Report {
    let snapshot = place.snapshot().await;
    let reader = record::read(recording).expect("a recording");
    let options = Options {
        parallel: 2,
        ..Options::default()
    };
    record::replay(&snapshot, reader, options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_version_decides_alike_bit_for_bit() {
    let place = Place::new("");
    let recording = recorded(&place, &SUBJECTS).await;
    let report = again(&place, &recording).await;
    assert_eq!(
        (report.compared, report.same),
        (SUBJECTS.len() as u64, SUBJECTS.len() as u64),
        "{report:?}"
    );
    assert_eq!((report.unanswered, report.unreadable), (0, 0), "{report:?}");
    let (then, now) = (report.recorded_cost, report.replayed_cost);
    let instructions = |cost: Option<record::Cost>| cost.map(|cost| cost.instructions);
    assert_eq!(instructions(then), instructions(now));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_reported_with_its_differences() {
    let place = Place::new("");
    let recording = recorded(&place, &SUBJECTS).await;
    place.write("settings.txt", "second");
    let report = again(&place, &recording).await;
    assert_eq!((report.different, report.behavioral), (1, 0), "{report:?}");
    let [kind] = report.differences.as_slice() else {
        panic!("one kind: {report:?}");
    };
    assert_eq!((kind.kind.as_str(), kind.count), ("reasons: changed", 1));
    let example = &kind.examples[0];
    assert_eq!(example.queue_id, "Q1");
    assert_eq!(example.difference, "reasons: removed first; added second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_requests_facts_that_were_not_recorded_is_reported() {
    let place = Place::new("");
    place.write("settings.txt", "");
    std::fs::copy(component("rust_minimal"), place.path("policy.wasm")).expect("copied");
    let recording = recorded(&place, &["lookups", "well"]).await;
    std::fs::copy(component("waxseal_misbehaving"), place.path("policy.wasm")).expect("copied");
    let report = again(&place, &recording).await;
    assert_eq!((report.compared, report.unanswered), (2, 1), "{report:?}");
    assert_eq!(
        report.unanswered_queries.get("\"key\" in table \"table\""),
        Some(&1)
    );
    assert_eq!(report.recorded.len(), 1);
    assert_ne!(report.recorded[0].policy.digest, report.policy.digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_in_place_of_a_decision_is_an_effect() {
    let place = Place::new("");
    place.write("settings.txt", "");
    std::fs::copy(component("rust_minimal"), place.path("policy.wasm")).expect("copied");
    let recording = recorded(&place, &["trap"]).await;
    std::fs::copy(component("waxseal_misbehaving"), place.path("policy.wasm")).expect("copied");
    let report = again(&place, &recording).await;
    assert_eq!(report.behavioral, 1);
    assert_eq!(
        report.differences[0].kind,
        "outcome: accept → error trapped"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_asked_for_is_decided_again() {
    let place = Place::new("");
    let recording = recorded(&place, &SUBJECTS).await;
    let snapshot = place.snapshot().await;
    let limited = |limit, until| Options {
        limit,
        until,
        messages: Messages::default(),
        ..Options::default()
    };
    for (options, expected) in [
        (limited(Some(3), None), 3),
        (limited(None, Some(crate::given::now())), 0),
    ] {
        let reader = record::read(&recording).expect("a recording");
        let report = record::replay(&snapshot, reader, options).await;
        assert_eq!(report.compared, expected);
    }
}

/// What is recorded holds as a test, whatever characters are in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_message_becomes_a_test_that_passes() {
    let place = Place::new("");
    place.write("settings.txt", "a \"quoted\" \\ text * with \u{7f}");
    let recording = recorded(&place, &["settings", "trap"]).await;
    for recorded in record::read(&recording).expect("a recording") {
        let recorded = recorded.expect("readable");
        let queue_id = &recorded.entry.queue_id;
        let bytes = Messages::default().find(&recorded).expect("its message");
        std::fs::write(place.path(&format!("{queue_id}.eml")), bytes).expect("written");
        let message = format!("{queue_id}.eml");
        let text = testing::recorded_case(&recorded.entry, &message, &place.path("waxseal.toml"))
            .expect("a test file");
        let file = place.path(&format!("{queue_id}.toml"));
        std::fs::write(&file, text).expect("written");
        let suite = Suite::read(&[file]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut environment = TestEnvironment::new(place.path("waxseal.toml"));
        let report = suite
            .run(&mut environment, &testing::Options::default())
            .await
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!(report.passed(), "{}", report.text());
    }
}
