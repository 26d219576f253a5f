//! H4: nothing that a sender does takes back what the administrator changed.

use std::fs;

use serde_json::Value;
use waxseal_testkit::rig::LISTED;
use waxseal_testkit::{Reply, Rig, wait_for};

use crate::mail::{plain, with_fields};

const RECIPIENTS: [&str; 1] = ["bob@outside.test"];

fn status(rig: &Rig) -> Value {
    rig.waxseal.json(&["policy", "status"])
}

fn serving(rig: &Rig) -> Value {
    status(rig)["versions"][0].take()
}

/// Whether mail of the network is outgoing: the policy, asked about this
/// message, fails.
fn is_outgoing(rig: &Rig) -> bool {
    let message = plain("carol@acme.test", "trap");
    let reply = rig
        .listed()
        .send("carol@acme.test", &RECIPIENTS, &message)
        .expect("a reply");
    assert!(reply.is_temporary() || reply.is_positive(), "{reply:?}");
    reply.is_temporary()
}

/// Sends a message of a login that the policy fails on, if `number` is new.
fn send_failing(rig: &Rig, login: &str, subject: &str, number: u64) -> Reply {
    let fields = format!("X-Number: {number} {login}\r\n");
    rig.try_as(login, &RECIPIENTS, &with_fields(login, subject, &fields))
}

/// Different messages of a login that the policy fails on.
fn fail(rig: &Rig, login: &str, subject: &str, messages: u64) {
    for number in 0..messages {
        let reply = send_failing(rig, login, subject, number);
        assert!(reply.is_temporary(), "{reply:?}");
    }
}

fn wait_for_own_errors(rig: &Rig, errors: u64) {
    wait_for("the previous version to decide the messages", || {
        let numbers = serving(rig)["statistics"].take();
        (numbers["own-errors"].as_u64() >= Some(errors)).then_some(())
    });
}

/// Sends failing messages of a login until so many of them have been decided by
/// the previous version: messages that find its queue full are not.
fn fail_until_own_errors(rig: &Rig, login: &str, errors: u64) {
    let mut number = 0;
    wait_for("the previous version to decide enough messages", || {
        let numbers = serving(rig)["statistics"].take();
        if numbers["own-errors"].as_u64() >= Some(errors) {
            return Some(());
        }
        let reply = send_failing(rig, login, "poison", number);
        assert!(reply.is_temporary(), "{reply:?}");
        number += 1;
        None
    });
}

#[test]
fn h4_twenty_failing_messages_of_one_login_bring_no_network_back() {
    let rig = Rig::builder("h4-rollback")
        .policy("waxseal_misbehaving")
        .settings("first")
        .start();
    for user in ["alice", "user1", "user2", "user3"] {
        let user = format!("{user}@acme.test");
        rig.send_as(&user, &RECIPIENTS, &plain(&user, "well"));
    }
    assert!(is_outgoing(&rig));
    // Another version of the policy, and the network is taken out.
    fs::write(rig.path("settings.toml"), "trap on poison").expect("written");
    wait_for("version 2", || (serving(&rig)["number"] == 2).then_some(()));
    let toml = fs::read_to_string(rig.path("waxseal.toml")).expect("waxseal.toml");
    let without = toml.replace(&format!("\"{LISTED}\""), "");
    assert_ne!(toml, without);
    fs::write(rig.path("waxseal.toml"), without).expect("written");
    rig.waxseal.reload();
    wait_for("the reload", || {
        let log = rig.waxseal.log();
        log.contains("configuration and keys reloaded")
            .then_some(())
    });
    assert!(!is_outgoing(&rig));
    // What no version decides, and what only this one does not.
    fail(&rig, "alice@acme.test", "trap", 20);
    fail_until_own_errors(&rig, "alice@acme.test", 20);
    let version = serving(&rig);
    assert_eq!(version["number"], 2, "{version}");
    assert!(!is_outgoing(&rig));
    // Even a rollback that has a cause brings back the policy alone.
    let mut number = 0;
    wait_for("the rollback", || {
        if serving(&rig)["number"] != 2 {
            return Some(());
        }
        let login = format!("user{}@acme.test", number % 3 + 1);
        send_failing(&rig, &login, "poison", number);
        number += 1;
        None
    });
    assert_eq!(serving(&rig)["number"], 3);
    assert_eq!(serving(&rig)["reason"]["kind"], "automatic-rollback");
    assert!(!is_outgoing(&rig));
}

#[test]
fn m9_d9_d19_the_status_warns_of_failures_and_shows_settings_and_time_zone() {
    let rig = Rig::builder("status")
        .policy("waxseal_misbehaving")
        .settings("first")
        .start();
    let alice = "alice@acme.test";
    rig.send_as(alice, &RECIPIENTS, &plain(alice, "well"));
    let first = serving(&rig)["inputs"]["settings"].take();
    fs::write(rig.path("settings.toml"), "trap on poison").expect("written");
    wait_for("version 2", || (serving(&rig)["number"] == 2).then_some(()));
    fail(&rig, alice, "poison", 5);
    wait_for_own_errors(&rig, 5);
    let status = rig.waxseal.json(&["policy", "status"]);
    let (active, previous) = (&status["versions"][0], &status["versions"][1]);
    assert_eq!(active["statistics"]["recent-own-errors"], 5, "{status}");
    assert_eq!(active["statistics"]["recent-messages"], 5, "{status}");
    assert_eq!(previous["inputs"]["settings"], first, "{status}");
    assert_eq!(status["next-rollback"], 1, "{status}");
    // The text form has a line for each of these.
    let text = rig.waxseal.output(&["policy", "status"]);
    assert!(
        text.contains(&first.as_str().expect("a digest")[..12]),
        "{text}"
    );
    assert!(rig.waxseal.log().contains("failed on 5 of the last 5"));
}
