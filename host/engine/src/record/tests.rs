//! Tests of writing and reading recordings, without a policy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::*;
use crate::comparison::{ByteBudget, OwnedDecisionEvent, RecordedResult};
use crate::config::{MessageStorage, Record, Share};
use crate::pipeline::{self, InputDigests, PolicyId, PolicyResult};
use waxseal_core::decision::Decision;
use waxseal_core::message::{Client, Content, Message, ReversePath};
use waxseal_runtime::{FactTrace, PolicyError, Seed};

fn arrival(number: usize) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + number as i64).expect("an instant")
}

fn event(number: usize, text: &str) -> Arc<OwnedDecisionEvent> {
    let arrival = arrival(number);
    let content = format!("From: ann@acme.test\r\nSubject: {number}\r\n\r\n{text}\r\n");
    let client = Client::default()
        .with_address("192.0.2.1".parse().ok())
        .with_user("ann".to_owned());
    let sender = "ann@acme.test".parse().expect("an address");
    let message = Message::builder(Content::new(content.into_bytes()), arrival)
        .queue_id(format!("4A{number}"))
        .listener("mx")
        .client(client)
        .sender(ReversePath::Address(sender))
        .recipient("bob@outside.test".parse().expect("an address"), false)
        .build();
    let decision = match number % 5 {
        4 => Err(PolicyError::OutOfInstructions(7)),
        _ => Ok(Decision {
            reasons: vec![format!("it is {number}")],
            ..Decision::default()
        }),
    };
    Arc::new(OwnedDecisionEvent {
        message: Arc::new(message),
        facts: FactTrace::at(Zoned::new(arrival, TimeZone::UTC)),
        policy: PolicyId {
            name: "acme".to_owned(),
            version: "1".to_owned(),
            digest: "00".to_owned(),
        },
        inputs: InputDigests {
            component: "00".to_owned(),
            settings: None,
            tables: BTreeMap::new(),
        },
        result: PolicyResult {
            decision,
            log: Vec::new(),
            seed: Seed::new([number as u8; 32]),
            cost: pipeline::Cost {
                time: Duration::from_micros(12),
                instructions: 34,
                memory: 56,
            },
        },
    })
}

fn settings(folder: &Path) -> Record {
    Record {
        folder: folder.join("recording"),
        messages: MessageStorage::Full,
        maximum: 8 << 20,
        share: Share::ALL,
    }
}

fn write(settings: &Record, numbers: std::ops::Range<usize>, text: &str) -> Counts {
    let recording = Recording::start(settings).expect("a recording");
    for number in numbers {
        recording.offer(&event(number, text));
    }
    recording.stop();
    recording.counts()
}

fn entries(path: &Path) -> Vec<Recorded> {
    let all: Result<Vec<_>, _> = read(path).expect("a recording").collect();
    all.expect("entries")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn a_written_entry_is_read_with_its_message() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    let counts = write(&settings, 0..5, "Hello");
    assert_eq!((counts.written, counts.dropped), (5, 0));
    let read = entries(&settings.folder);
    assert_eq!(read.len(), 5);
    for (number, recorded) in read.iter().enumerate() {
        let event = event(number, "Hello");
        let entry = &recorded.entry;
        let stored = entry.message.clone();
        assert_eq!(*entry, Entry::of(&event, stored.sha256, true));
        assert_eq!(entry.seed(), Some(Seed::new([number as u8; 32])));
        let bytes = Messages::default().find(recorded).expect("its message");
        let message = entry.message(bytes).expect("a message");
        assert_eq!(message.content.bytes(), event.message.content.bytes());
        assert_eq!(message.envelope.sender, event.message.envelope.sender);
        assert_eq!(
            message.envelope.recipients,
            event.message.envelope.recipients
        );
        assert_eq!(message.arrival, event.message.arrival);
    }
    assert!(
        matches!(&read[4].entry.result, RecordedResult::Error { kind, .. } if kind == "out-of-instructions")
    );
}

#[test]
fn everything_is_private() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    write(&settings, 0..2, "Hello");
    let mut looked_at = files(&settings.folder);
    assert_eq!(looked_at.len(), 4, "{looked_at:?}");
    looked_at.push(settings.folder.clone());
    for path in looked_at {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    fs::set_permissions(&settings.folder, fs::Permissions::from_mode(0o755)).expect("chmod");
    let refused = Recording::start(&settings).expect_err("others can read it");
    assert!(refused.to_string().contains("chmod go="), "{refused}");
}

#[test]
fn messages_are_not_stored_if_only_digests_are_configured() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = Record {
        messages: MessageStorage::Digest,
        ..settings(folder.path())
    };
    write(&settings, 0..2, "a secret");
    for path in files(&settings.folder).iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).expect("text");
        assert!(!text.contains("a secret"), "{}", path.display());
    }
    let read = entries(&settings.folder);
    assert_eq!(Messages::default().find(&read[1]), None);
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).expect("a folder");
    let event = event(1, "a secret");
    fs::write(archive.join("one.eml"), event.message.content.bytes()).expect("a message");
    let messages = Messages::in_folder(&archive).expect("messages");
    assert!(messages.find(&read[1]).is_some());
    assert_eq!(messages.find(&read[0]), None);
}

#[test]
fn a_recording_never_exceeds_its_maximum_and_drops_the_oldest() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    let text = "x".repeat(300_000);
    // Twice the maximum, with two starts.
    write(&settings, 0..30, &text);
    write(&settings, 30..60, &text);
    let size: u64 = files(&settings.folder)
        .iter()
        .filter_map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_file))
        .map(|metadata| metadata.len())
        .sum();
    assert!(size <= settings.maximum, "{size}");
    assert!(size > settings.maximum / 2, "{size}");
    let read = entries(&settings.folder);
    let numbers: Vec<String> = read.iter().map(|one| one.entry.queue_id.clone()).collect();
    let newest: Vec<String> = (60 - read.len()..60)
        .map(|number| format!("4A{number}"))
        .collect();
    assert_eq!(numbers, newest);
    for recorded in &read {
        assert!(Messages::default().find(recorded).is_some());
    }
}

#[test]
fn a_message_that_would_displace_all_others_is_recorded_by_its_digest() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    write(&settings, 0..1, "Hello");
    write(&settings, 1..2, &"x".repeat(20 << 20));
    let read = entries(&settings.folder);
    assert_eq!(
        (read[0].entry.message.stored, read[1].entry.message.stored),
        (true, false)
    );
}

#[test]
fn an_incomplete_last_line_is_ignored_and_any_other_is_reported() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    write(&settings, 0..3, "Hello");
    let segment = segment::list(&settings.folder).expect("listed").remove(0);
    let path = segment.join(segment::ENTRIES);
    let text = fs::read_to_string(&path).expect("text");
    let second = text.find("4A1").expect("the second entry");
    let text = format!("{}?{}", &text[..second], &text[second + 1..]);
    fs::write(&path, &text[..text.len() - 10]).expect("written");
    let read: Vec<_> = read(&settings.folder).expect("a recording").collect();
    assert_eq!(read.len(), 2, "the torn one is passed over");
    assert!(read[0].is_ok() && read[1].is_ok(), "{read:?}");
    fs::write(
        &path,
        text.replacen("{\"format\":1", "{\"format\":9", 1)
            .replace("\"arrival\":\"2026", "\"arrival\":\"x"),
    )
    .expect("written");
    let told: Vec<String> = super::read(&path)
        .expect("a recording")
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[1].contains("decisions.jsonl:2: invalid entry"),
        "{told:?}"
    );
}

#[test]
fn a_damaged_message_is_not_returned() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    write(&settings, 0..1, "Hello");
    let read = entries(&settings.folder);
    let file = read[0]
        .segment
        .join(segment::message_file(&read[0].entry.message.sha256));
    fs::write(file, "From: somebody else\r\n\r\n").expect("written");
    assert_eq!(Messages::default().find(&read[0]), None);
}

/// The disk is full: entries are counted as dropped, and nothing waits.
#[test]
fn failed_writes_are_counted_and_have_no_other_effect() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    let recording = Recording::start(&settings).expect("a recording");
    fs::remove_dir(&settings.folder).expect("removed");
    fs::write(&settings.folder, "in its place").expect("written");
    for number in 0..5 {
        recording.offer(&event(number, "Hello"));
    }
    recording.stop();
    let counts = recording.counts();
    assert_eq!((counts.written, counts.dropped), (0, 5));
    recording.offer(&event(9, "too late"));
    assert_eq!(recording.counts().dropped, 6);
}

#[test]
fn queued_messages_are_limited_in_bytes() {
    let one = event(0, &"x".repeat(1000));
    let room = ByteBudget::new(2500);
    let first = room.take(&one).expect("room");
    let _second = room.take(&one).expect("room");
    assert!(room.take(&one).is_none());
    drop(first);
    assert!(room.take(&one).is_some());
}

#[test]
fn a_folder_without_a_recording_is_an_error() {
    let folder = tempfile::tempdir().expect("folder");
    let none = read(folder.path()).expect_err("none");
    assert!(none.to_string().contains("nothing is recorded"), "{none}");
    assert!(read(&folder.path().join("missing")).is_err());
}
