//! Recipients on both sides of our border: only outside copies are relayed.

use waxseal_testkit::dkim::verify;
use waxseal_testkit::{Client, Rig, RigBuilder, wait_for};

use crate::mail::{acme, plain, with_fields};

fn builder(name: &str) -> RigBuilder {
    Rig::builder(name)
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .split()
}

fn rig(name: &str) -> Rig {
    builder(name).start()
}

/// One whose Postfix keeps what is for the split listener, until [`go_on`].
fn waiting_rig(name: &str) -> Rig {
    let line = "defer_transports = waxseal-split";
    builder(name).main_cf(line).start()
}

#[test]
fn r1_inside_copies_stay_inside_and_outside_copies_are_relayed() {
    let rig = rig("split");
    rig.postfix.check();
    let recipients = [
        "bob@inside.test",
        "eve@outside.test",
        "carol@inside.test",
        "dan@other.test",
    ];
    rig.send_as(
        "alice@acme.test",
        &recipients,
        &plain("alice@acme.test", "split"),
    );
    let mut inside = rig.arrived("inside");
    let mut outside = rig.sink("northwind").deliveries();
    let names = |deliveries: &[waxseal_testkit::Delivery]| {
        let mut names: Vec<String> = deliveries
            .iter()
            .flat_map(|one| one.recipients.clone())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&inside), ["bob@inside.test", "carol@inside.test"]);
    assert_eq!(names(&outside), ["dan@other.test", "eve@outside.test"]);
    assert_eq!(rig.sink("default").count(), 0);
    let records = rig.records("acme.test");
    for delivery in inside.drain(..).chain(outside.drain(..)) {
        assert_eq!(delivery.sender, "alice@acme.test");
        let names = delivery.field_names().join(" ").to_lowercase();
        assert!(!names.contains("waxseal"), "{names}");
        let signatures = verify(&delivery.bytes, &records);
        assert!(
            !signatures.is_empty() && signatures.iter().all(|one| one.valid),
            "{signatures:?}"
        );
    }
}

#[test]
fn r1_inside_recipients_alone_are_never_relayed() {
    let rig = rig("split-inside");
    rig.send_as(
        "alice@acme.test",
        &["bob@inside.test"],
        &plain("alice@acme.test", "inside"),
    );
    assert_eq!(rig.only("inside").recipients, ["bob@inside.test"]);
}

#[test]
fn r20_a_forged_split_header_gets_nobody_a_relay() {
    let rig = rig("split-forged");
    let route = format!("waxseal-northwind:{}", rig.sink("northwind").nexthop());
    for value in [route.as_str(), "northwind", "AAAA", "v1.AAAA.BBBB"] {
        let fields = format!("X-Waxseal-Split: {value}\r\n");
        let message = with_fields("a@other.test", "forged", &fields);
        // By the front door, and by the door that is Postfix's own.
        rig.send(
            &mut rig.stranger(),
            "a@other.test",
            &["bob@outside.test"],
            &message,
        );
        let mut back = Client::connect(rig.split_smtpd()).expect("a connection");
        let _ = back
            .send("a@other.test", &["bob@outside.test"], &message)
            .expect("a reply");
    }
    rig.settle();
    assert_eq!(rig.sink("northwind").count(), 0);
}

#[test]
fn r20_a_sealed_header_that_was_seen_once_cannot_be_used_by_strangers_of_other_mail() {
    let rig = rig("split-user-header");
    let message = with_fields("alice@acme.test", "own", "X-Waxseal-Split: northwind\r\n");
    rig.send_as(
        "alice@acme.test",
        &["bob@inside.test", "eve@outside.test"],
        &message,
    );
    for sink in ["inside", "northwind"] {
        for delivery in rig.arrived(sink) {
            let names = delivery.field_names().join(" ").to_lowercase();
            assert!(!names.contains("waxseal"), "{sink}: {names}");
        }
    }
    assert_eq!(
        (rig.sink("inside").count(), rig.sink("northwind").count()),
        (1, 1)
    );
}

/// A message for both sides that waits in Postfix for the split listener, and
/// the queue id under which it does.
fn waiting(rig: &Rig) -> String {
    rig.send_as(
        "alice@acme.test",
        &["bob@inside.test", "eve@outside.test"],
        &plain("alice@acme.test", "waiting"),
    );
    wait_for("the message to be deferred", || {
        rig.postfix
            .log()
            .contains("deferred transport")
            .then_some(())
    });
    let listed = rig.postfix.command("postqueue", ["-j"]);
    let listed = String::from_utf8(listed.stdout).expect("text");
    let message: serde_json::Value =
        serde_json::from_str(listed.lines().next().expect("a message")).expect("JSON");
    message["queue_id"].as_str().expect("an id").to_owned()
}

/// Lets what waits go on.
fn go_on(rig: &Rig) {
    rig.postfix
        .command("postconf", ["-e", "defer_transports ="]);
    rig.postfix.command("postfix", ["reload"]);
    rig.postfix.flush();
}

/// Waits for a line of the log with all of these.
fn logged(rig: &Rig, texts: &[&str]) {
    wait_for("a line of the log", || {
        let log = rig.waxseal.log();
        log.lines()
            .any(|line| texts.iter().all(|text| line.contains(text)))
            .then_some(())
    });
}

#[test]
fn d2_mail_sealed_with_a_secret_that_was_lost_waits_until_it_is_restored() {
    let mut rig = waiting_rig("d2-secret");
    logged(&rig, &["WARN", "created a new secret", "back it up"]);
    let queue_id = waiting(&rig);
    rig.waxseal.stop();
    let (secret, backup) = (rig.path("state/secret"), rig.path("backup"));
    std::fs::rename(&secret, &backup).expect("moved");
    rig.waxseal.start();
    logged(
        &rig,
        &[
            "ERROR",
            "was missing although state of an earlier run exists",
            "backup",
        ],
    );
    go_on(&rig);
    let requeue = format!("postsuper -r {queue_id}");
    logged(
        &rig,
        &[
            "ERROR",
            "the message has no route",
            "state/secret",
            &requeue,
        ],
    );
    wait_for("the deferral", || {
        rig.postfix.log().contains("451 4.7.1").then_some(())
    });
    assert!(!rig.postfix.log().contains("status=bounced"));
    assert_eq!(rig.postfix.queued(), 1, "the message waits");
    rig.waxseal.stop();
    std::fs::rename(&backup, &secret).expect("moved");
    rig.waxseal.start();
    rig.postfix.flush();
    rig.waited_for("northwind");
    rig.settle();
    assert_eq!(
        (rig.sink("inside").count(), rig.sink("default").count()),
        (1, 0)
    );
}

#[test]
fn d2_mail_of_a_lost_secret_can_be_requeued_as_the_log_says() {
    let mut rig = waiting_rig("d2-requeue");
    let queue_id = waiting(&rig);
    rig.waxseal.stop();
    std::fs::remove_file(rig.path("state/secret")).expect("removed");
    rig.waxseal.start();
    go_on(&rig);
    logged(&rig, &["ERROR", "the message has no route", &queue_id]);
    rig.postfix.command("postsuper", ["-r", queue_id.as_str()]);
    rig.postfix.flush();
    rig.waited_for("default");
    rig.settle();
    let counts = ["inside", "default", "northwind"].map(|name| rig.sink(name).count());
    assert_eq!(counts, [1, 1, 0]);
}

#[test]
fn d19_a_copy_whose_relay_was_taken_out_waits_and_the_log_says_so() {
    let rig = waiting_rig("d19-relay");
    let queue_id = waiting(&rig);
    let (config, settings) = (rig.path("waxseal.toml"), rig.path("settings.toml"));
    let before = std::fs::read_to_string(&config).expect("waxseal.toml");
    let named = std::fs::read_to_string(&settings).expect("settings");
    let (head, rest) = before.split_once("[relay.northwind]").expect("the relay");
    let rest = &rest[rest.find("\n[").expect("another table")..];
    std::fs::write(&settings, acme("sign = true")).expect("settings");
    std::fs::write(&config, format!("{head}{rest}")).expect("waxseal.toml");
    rig.waxseal.reload();
    logged(&rig, &["reloaded"]);
    go_on(&rig);
    let requeue = format!("postsuper -r {queue_id}");
    logged(
        &rig,
        &[
            "WARN",
            "relay northwind",
            "removed from waxseal.toml",
            &requeue,
        ],
    );
    rig.waited_for("inside");
    assert_eq!(
        (rig.sink("northwind").count(), rig.sink("default").count()),
        (0, 0)
    );
    std::fs::write(&config, before).expect("waxseal.toml");
    std::fs::write(&settings, named).expect("settings");
    rig.waxseal.reload();
    wait_for("the relay to be back", || {
        rig.postfix.flush();
        (rig.sink("northwind").count() > 0).then_some(())
    });
    rig.settle();
    assert_eq!(
        (rig.sink("inside").count(), rig.sink("default").count()),
        (1, 0)
    );
}

#[test]
fn m2_copies_are_routed_by_milters_on_tcp_as_well() {
    let rig = Rig::builder("m2-tcp")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]"))
        .split()
        .tcp()
        .start();
    let both = ["bob@inside.test", "eve@outside.test"];
    rig.send_as("alice@acme.test", &both, &plain("alice@acme.test", "tcp"));
    rig.settle();
    let counts = ["inside", "northwind", "default"].map(|name| rig.sink(name).count());
    assert_eq!(counts, [1, 1, 0]);
}
