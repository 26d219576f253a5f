//! Recipients on both sides of our border: only outside copies are relayed.

use waxseal_tests::dkim::verify;
use waxseal_tests::{Client, Rig};

use crate::mail::{acme, plain, with_fields};

fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .split()
        .start()
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
    let names = |deliveries: &[waxseal_tests::Delivery]| {
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
