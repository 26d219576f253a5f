//! R26: policies are swapped, rejected and rolled back while mail flows.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use waxseal_testkit::sink::Delivery;
use waxseal_testkit::{Client, Rig, wait_for};

use crate::mail::plain;

const CLIENTS: usize = 4;
const SWAPS: usize = 100;

/// Settings that leave their mark in three places: the relay, the return path
/// and the text.
fn marked(mark: &str) -> String {
    format!(
        "return-path = \"{mark}@acme.test\"\n[domain.\"acme.test\"]\nrelays = [\"{mark}\"]\n\
         disclaimers = [\"mark\"]\n[disclaimer.mark]\ntext = \"This is by {mark}.\"\n"
    )
}

/// A rig whose settings can be changed. The other mark is that of a second
/// relay.
fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("north", "")
        .relay("south", "")
        .settings(&marked("north"))
        .start()
}

/// A file is put in the place of another in one step, as installers do.
fn install(rig: &Rig, name: &str, bytes: impl AsRef<[u8]>) {
    let draft = rig.path(&format!("{name}.new"));
    fs::write(&draft, bytes).expect("written");
    fs::rename(draft, rig.path(name)).expect("renamed");
}

fn status(rig: &Rig) -> Value {
    rig.waxseal.json(&["policy", "status"])
}

fn number(rig: &Rig) -> u64 {
    status(rig)["versions"][0]["number"]
        .as_u64()
        .expect("a number")
}

/// Waits until a version with at least that number is in service.
fn wait_for_version(rig: &Rig, least: u64) {
    wait_for("another version in service", || {
        (number(rig) >= least).then_some(())
    });
}

fn send(rig: &Rig, subject: &str) {
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", subject),
    );
}

/// How often some words stand in the log.
fn logged(rig: &Rig, words: &str) -> usize {
    rig.waxseal.log().matches(words).count()
}

/// Sends messages until it is enough: every one has to be taken at once.
fn load(rig: &Rig, next: &AtomicUsize, enough: &AtomicBool, sent: &Mutex<BTreeSet<String>>) {
    let mut client: Client = rig.user("alice@acme.test");
    while !enough.load(Ordering::Relaxed) {
        let name = format!("m{}", next.fetch_add(1, Ordering::Relaxed));
        let message = plain("alice@acme.test", &name);
        rig.send(
            &mut client,
            "alice@acme.test",
            &["bob@outside.test"],
            &message,
        );
        sent.lock().expect("a list").insert(name);
    }
}

/// Everything about a message is by the version whose relay it took.
fn assert_whole(mark: &str, delivery: &Delivery) {
    assert_eq!(delivery.sender, format!("{mark}@acme.test"));
    let text = String::from_utf8_lossy(&delivery.bytes);
    assert!(text.contains(&format!("This is by {mark}.")), "{text}");
    let other = if mark == "north" { "south" } else { "north" };
    assert!(!text.contains(other), "{text}");
}

#[test]
fn r26_a_hundred_swaps_under_load_cost_no_message_and_divide_none() {
    let rig = rig("swap-load");
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sent = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| load(&rig, &next, &enough, &sent)))
            .collect();
        for swap in 1..=SWAPS {
            let mark = if swap % 2 == 0 { "north" } else { "south" };
            install(&rig, "settings.toml", marked(mark));
            wait_for_version(&rig, swap as u64 + 1);
            assert!(clients.iter().all(|client| !client.is_finished()));
        }
        enough.store(true, Ordering::Relaxed);
    });
    let sent = sent.into_inner().expect("a list");
    let mut arrived = BTreeSet::new();
    for mark in ["north", "south"] {
        let deliveries = rig.arrived(mark);
        assert!(deliveries.len() > 10, "{mark} got {}", deliveries.len());
        for delivery in &deliveries {
            assert_whole(mark, delivery);
            let name = delivery.header("Subject").concat();
            assert!(arrived.insert(name.clone()), "{name} twice");
        }
    }
    assert_eq!(sent, arrived);
    assert_eq!(rig.sink("default").count(), 0);
    let versions = status(&rig);
    let versions = versions["versions"].as_array().expect("a list");
    let (serving, before) = versions.split_first().expect("one in service");
    assert_eq!(serving["number"].as_u64(), Some(SWAPS as u64 + 1));
    // The history of versions is bounded, and none of them had an error.
    assert_eq!(before.len(), 32);
    for version in versions {
        assert_eq!(version["statistics"]["errors"], serde_json::json!({}));
    }
}

#[test]
fn r26_a_version_that_is_no_good_is_refused_with_the_reason_and_the_old_one_stays() {
    let rig = rig("swap-refused");
    let cases = [
        ("relays = 7\n", "settings.toml:1:"),
        (
            "[domain.\"acme.test\"]\nrelays = [\"west\"]\n",
            "settings.toml:2:",
        ),
        ("[domain.\"acme.test\"]\nsign = true\n", "acme.test"),
    ];
    for (settings, reason) in cases {
        install(&rig, "settings.toml", settings);
        let refused = wait_for("the rejection", || {
            let refused = status(&rig)["rejected"].take();
            let problems = refused["problems"].to_string();
            problems.contains(reason).then_some(refused)
        });
        assert_eq!(refused["trigger"], "files-changed");
        // The same rejection is not logged again.
        let before = logged(&rig, " rejected: ");
        install(&rig, "settings.toml", settings);
        install(&rig, "settings.toml", settings);
        send(&rig, "meanwhile");
        assert_eq!(logged(&rig, " rejected: "), before);
        assert_eq!(number(&rig), 1);
    }
    for delivery in rig.arrived("north") {
        assert_whole("north", &delivery);
    }
    // By command: the answer is no, and the reason is there.
    fs::write(rig.path("broken.wasm"), b"no component").expect("written");
    let path = rig.path("broken.wasm").display().to_string();
    let output = rig.waxseal.command(&["policy", "swap", &path, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problems = answer["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1, "{answer}");
    // As soon as the files are good they are in service.
    install(&rig, "settings.toml", marked("south"));
    wait_for_version(&rig, 2);
    assert_eq!(status(&rig)["rejected"], Value::Null);
}

#[test]
fn r26_one_command_goes_back_and_a_restart_does_not_undo_it() {
    let mut rig = rig("swap-back");
    install(&rig, "settings.toml", marked("south"));
    wait_for_version(&rig, 2);
    send(&rig, "forth");
    rig.waited_for("south");
    // A rollback may be requested in the middle of an edit.
    let toml = fs::read_to_string(rig.path("waxseal.toml")).expect("waxseal.toml");
    fs::write(rig.path("waxseal.toml"), "hostname = \n[policy\n").expect("waxseal.toml");
    let answer = rig.waxseal.json(&["policy", "rollback"]);
    fs::write(rig.path("waxseal.toml"), toml).expect("waxseal.toml");
    assert_eq!(answer["version"]["number"], 3);
    assert_eq!(answer["version"]["reason"]["to"], 1);
    send(&rig, "back");
    assert_eq!(rig.arrived("north").len(), 1);
    // There is nothing before it.
    let output = rig.waxseal.command(&["policy", "rollback"]);
    assert_eq!(output.status.code(), Some(1));
    let output = rig.waxseal.command(&["policy", "rollback", "7"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(rig.waxseal.stop().success());
    rig.waxseal.start();
    assert_eq!(status(&rig)["pin"]["reason"], "rolled-back");
    rig.waxseal.reload();
    wait_for("the reload", || {
        (logged(&rig, "nothing changed: version 1") == 1).then_some(())
    });
    assert_eq!(number(&rig), 1);
    send(&rig, "after a restart and a reload");
    assert_eq!(rig.arrived("north").len(), 2);
    // Changed files are tried again.
    install(&rig, "settings.toml", format!("{}\n", marked("south")));
    wait_for_version(&rig, 2);
    send(&rig, "changed");
    assert_eq!(rig.arrived("south").len(), 2);
    assert_eq!(status(&rig)["pin"], Value::Null);
}

#[test]
fn r26_a_policy_is_swapped_by_command() {
    let mut rig = rig("swap-command");
    fs::write(rig.path("other.toml"), marked("south")).expect("written");
    let policy = waxseal_testkit::waxseal::policy("waxseal_standard")
        .display()
        .to_string();
    let settings = rig.path("other.toml").display().to_string();
    let swap = ["policy", "swap", &policy, "--settings", &settings];
    assert_eq!(rig.waxseal.json(&swap)["version"]["number"], 2);
    send(&rig, "swapped");
    assert_eq!(rig.arrived("south").len(), 1);
    // Killed: what was in service is remembered all the same.
    rig.waxseal.kill();
    rig.waxseal.start();
    send(&rig, "restarted");
    assert_eq!(rig.arrived("south").len(), 2);
    // The files that are named bring themselves back.
    rig.waxseal.output(&["policy", "swap", &policy]);
    send(&rig, "as named");
    assert_eq!(rig.arrived("north").len(), 1);
    assert_eq!(status(&rig)["pin"], Value::Null);
    rig.waxseal.stop();
    let output = rig.waxseal.command(&["policy", "status"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("no daemon listens on"), "{errors}");
}

#[test]
fn r28_after_errors_in_a_row_the_host_goes_back_by_itself() {
    let rig = Rig::builder("swap-failing")
        .policy("waxseal_misbehaving")
        .settings("first")
        .start();
    send(&rig, "well");
    install(&rig, "settings.toml", "second\ntrap on poison");
    wait_for_version(&rig, 2);
    // Twenty different messages of four logins, each tried by a client of its own.
    for number in 0..20 {
        let fields = format!("X-Number: {number}\r\n");
        let message = crate::mail::with_fields("alice@acme.test", "poison", &fields);
        let login = format!("user{}@acme.test", number % 4);
        let reply = rig.try_as(&login, &["bob@outside.test"], &message);
        assert!(reply.is_temporary(), "{reply:?}");
    }
    wait_for_version(&rig, 3);
    let after = status(&rig);
    assert_eq!(after["versions"][0]["reason"]["kind"], "automatic-rollback");
    assert_eq!(after["versions"][1]["statistics"]["errors"]["trapped"], 20);
    wait_for("the host to remember", || {
        (status(&rig)["pin"]["reason"] == "failed").then_some(())
    });
    assert_eq!(logged(&rig, "automatic rollback to version 1"), 1);
    send(&rig, "well");
    assert_eq!(after["versions"][0]["reason"]["to"], 1);
}
