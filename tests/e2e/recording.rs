//! Decisions on live mail written down, and decided on again; a candidate beside
//! the version in service.

use std::fs;
use std::path::Path;

use serde_json::Value;
use waxseal_testkit::{Rig, RigBuilder, wait_for};

use crate::mail::{acme, plain, with_fields};

const RECIPIENTS: [&str; 1] = ["bob@outside.test"];

fn builder(name: &str) -> RigBuilder {
    Rig::builder(name)
        .relay("northwind", "")
        .relay("quarry", "")
        .settings(&acme("relays = [\"northwind\"]"))
}

/// Settings beside those in service that choose the other relay.
fn others(rig: &Rig) -> String {
    let path = rig.path("other.toml");
    fs::write(&path, acme("relays = [\"quarry\"]")).expect("settings");
    path.display().to_string()
}

fn send(rig: &Rig, subject: &str) {
    let message = plain("alice@acme.test", subject);
    rig.send_as("alice@acme.test", &RECIPIENTS, &message);
}

/// Counts of a kind of difference.
fn counted(report: &Value, kind: &str) -> u64 {
    let kinds = report["differences"].as_array().expect("kinds");
    let found = kinds.iter().find(|found| found["kind"] == kind);
    found.and_then(|found| found["count"].as_u64()).unwrap_or(0)
}

fn replayed(rig: &Rig, arguments: &[&str]) -> (Option<i32>, Value) {
    let folder = rig.path("recording").display().to_string();
    let arguments = [&["replay", &folder, "--json"], arguments].concat();
    let output = rig.waxseal.command(&arguments);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), report)
}

#[test]
fn what_is_recorded_from_live_mail_is_decided_alike_again_and_otherwise_by_another_version() {
    let mut rig = builder("recording")
        .config("[record]\nfolder = \"recording\"\nmessages = \"keep\"\n")
        .start();
    for number in 0..5 {
        send(&rig, &format!("number {number}"));
    }
    let other = with_fields("eve@widgets.test", "stranger", "Precedence: bulk\r\n");
    rig.send_as("eve@widgets.test", &RECIPIENTS, &other);
    rig.settle();
    let recording = &rig.waxseal.json(&["policy", "status"])["recording"];
    assert_eq!(recording["share"], "100%", "{recording}");
    assert_eq!(recording["dropped"], 0, "{recording}");
    let folder = rig.path("recording").display().to_string();
    assert_eq!(recording["folder"], folder.as_str(), "{recording}");
    // What waits is written when the daemon stops.
    assert!(rig.waxseal.stop().success());
    let (code, same) = replayed(&rig, &[]);
    assert_eq!(code, Some(0), "{same}");
    assert_eq!(
        (&same["compared"], &same["different"]),
        (&6.into(), &0.into())
    );
    assert_eq!(same["unanswered"], 0, "{same}");
    let others = others(&rig);
    let (code, report) = replayed(&rig, &["--settings", &others]);
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(
        report["different"], 5,
        "the one of another domain is the same"
    );
    assert_eq!(counted(&report, "relay: northwind → quarry"), 5, "{report}");
    becomes_a_test(&rig, &report);
    let secret = fs::read(rig.path("state/secret")).expect("the secret");
    assert!(
        !holds(&rig.path("recording"), &secret),
        "no secret is in it"
    );
}

/// A message of the report as a case of `waxseal test`.
fn becomes_a_test(rig: &Rig, report: &Value) {
    let example = &report["differences"][0]["examples"][0]["queue-id"];
    let queue_id = example.as_str().expect("a queue id");
    let folder = rig.path("cases").display().to_string();
    let recording = rig.path("recording").display().to_string();
    rig.waxseal
        .output(&["replay", &recording, "--case", queue_id, "--write", &folder]);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [format!("{queue_id}.eml"), format!("{queue_id}.toml")]
    );
    rig.waxseal.output(&["test", &folder]);
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => holds(&path, bytes),
            false => {
                let text = fs::read(&path).expect("a file");
                text.windows(bytes.len()).any(|part| part == bytes)
            }
        }
    })
}

#[test]
fn a_candidate_decides_beside_the_version_in_service_and_is_promoted() {
    let rig = builder("shadow").start();
    let refused = rig.waxseal.command(&["policy", "diff"]);
    assert_eq!(refused.status.code(), Some(1), "there is no candidate yet");
    let others = others(&rig);
    let policy = waxseal_testkit::waxseal::policy("waxseal_standard");
    let policy = policy.display().to_string();
    rig.waxseal
        .output(&["policy", "shadow", &policy, "--settings", &others]);
    for number in 0..3 {
        send(&rig, &format!("in shadow {number}"));
    }
    let status = rig.waxseal.json(&["policy", "status"]);
    assert!(status["shadow"].is_object(), "{status}");
    let diff = wait_for("the candidate to have decided", || {
        let diff = rig.waxseal.json(&["policy", "diff"]);
        (diff["compared"] == 3).then_some(diff)
    });
    assert_eq!(diff["different"], 3, "{diff}");
    assert_eq!(counted(&diff, "relay: northwind → quarry"), 3, "{diff}");
    let log = rig.waxseal.log();
    assert!(log.contains("relay: northwind → quarry"), "{log}");
    assert_eq!(rig.arrived("northwind").len(), 3, "it has no effect");
    assert_eq!(rig.sink("quarry").count(), 0);
    // What was tried is what is promoted, or nothing.
    let tried = fs::read_to_string(&others).expect("settings");
    fs::write(&others, format!("# other\n{tried}")).expect("settings");
    let changed = rig.waxseal.command(&["policy", "promote"]);
    assert_eq!(changed.status.code(), Some(1));
    fs::write(&others, tried).expect("settings");
    rig.waxseal.output(&["policy", "promote"]);
    send(&rig, "promoted");
    assert_eq!(rig.arrived("quarry").len(), 1);
    let gone = rig.waxseal.command(&["policy", "diff"]);
    assert_eq!(gone.status.code(), Some(1), "it is no candidate any more");
}

#[test]
fn r28_a_candidate_that_fails_on_everything_costs_no_mail_anything() {
    let rig = Rig::builder("r28-shadow").policy("rust_minimal").start();
    let hostile = waxseal_testkit::waxseal::policy("waxseal_misbehaving");
    let hostile = hostile.display().to_string();
    rig.waxseal.output(&["policy", "shadow", &hostile]);
    let subjects = [
        "loop",
        "trap",
        "memory",
        "sleep",
        "loop",
        "overflow",
        "gigabytes",
        "flood",
    ];
    for subject in subjects {
        send(&rig, subject);
    }
    assert_eq!(rig.arrived("default").len(), subjects.len());
    rig.waxseal.output(&["policy", "shadow", "--stop"]);
    let status = rig.waxseal.json(&["policy", "status"]);
    assert_eq!(status["shadow"], Value::Null, "{status}");
    send(&rig, "well");
    assert_eq!(rig.arrived("default").len(), subjects.len() + 1);
}
