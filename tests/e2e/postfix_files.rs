//! `waxseal postfix` on the files of a running Postfix.

use std::fs;

use serde_json::Value;
use waxseal_testkit::{Rig, wait_for};

use crate::mail::{acme, plain};

const ALICE: &str = "alice@acme.test";

/// A Postfix that keeps what is for the relay.
fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]"))
        .main_cf("defer_transports = waxseal-northwind")
        .start()
}

/// Exit code and JSON of `waxseal postfix` with an option.
fn postfix(rig: &Rig, option: &str) -> (Option<i32>, Value) {
    let etc = rig.postfix.etc().display().to_string();
    let arguments = ["postfix", option, "--postfix-directory", &etc, "--json"];
    let output = rig.waxseal.command(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code(), json)
}

fn queue_ids(rig: &Rig) -> Vec<String> {
    let listed = rig.postfix.command("postqueue", ["-j"]);
    let listed = String::from_utf8(listed.stdout).expect("text");
    let id = |line: &str| {
        let message: Value = serde_json::from_str(line).expect("JSON");
        message["queue_id"].as_str().expect("an id").to_owned()
    };
    listed.lines().map(id).collect()
}

/// Sends a message that waits for the relay; gives its queue id.
fn waiting(rig: &Rig, subject: &str) -> String {
    let before = queue_ids(rig);
    rig.send_as(ALICE, &["eve@outside.test"], &plain(ALICE, subject));
    wait_for("the message to be deferred", || {
        let deferred = rig.postfix.log().matches("deferred transport").count();
        (deferred > before.len()).then_some(())
    });
    let new = queue_ids(rig).into_iter().find(|id| !before.contains(id));
    new.expect("a message in the queue")
}

#[test]
fn r1_undo_leaves_no_mail_stranded_and_the_files_as_they_were() {
    let rig = rig("undo");
    rig.postfix.check();
    assert_eq!(
        postfix(&rig, "--check"),
        (Some(0), serde_json::json!({ "findings": [] }))
    );
    let (held, released) = (waiting(&rig, "held"), waiting(&rig, "released"));
    rig.postfix.command("postsuper", ["-h", &held]);

    let (status, undone) = postfix(&rig, "--undo");
    assert_eq!(status, Some(0), "{undone}");
    assert_eq!(undone["released"]["reloaded"], true, "{undone}");
    assert_eq!(
        undone["released"]["requeued"],
        serde_json::json!([released])
    );
    let on_hold = undone["released"]["held"].as_array().expect("a list");
    assert_eq!(on_hold.len(), 1, "{undone}");
    let arrived = rig.arrived("default");
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].header("Subject"), ["released"]);
    assert_eq!(rig.postfix.held(), 1);

    let etc = rig.postfix.etc();
    for name in ["main.cf", "master.cf"] {
        let text = fs::read_to_string(etc.join(name)).expect(name);
        assert!(
            !text.contains("waxseal-northwind unix") && !text.contains("# BEGIN"),
            "{text}"
        );
    }
    rig.postfix.check();
    // What was on hold follows as the command advises.
    let held = on_hold[0].as_str().expect("a queue id");
    rig.postfix.command("postsuper", ["-r", held]);
    rig.postfix.command("postkick", ["public", "pickup", "W"]);
    wait_for("the message that was on hold", || {
        (rig.sink("default").count() == 2).then_some(())
    });
    let (status, findings) = postfix(&rig, "--check");
    assert_eq!(status, Some(1));
    let kinds: Vec<&Value> = findings["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|finding| &finding["kind"])
        .collect();
    assert_eq!(kinds, ["outdated", "missing", "missing"]);
}
