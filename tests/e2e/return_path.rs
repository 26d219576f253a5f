//! R13: the envelope sender that a message leaves with.

use waxseal_tests::{Delivery, Rig};

use crate::mail::plain;

fn sent(name: &str, lines: &str, sender: &str) -> Delivery {
    let settings = format!("{lines}\n[domain.\"acme.test\"]\nrelays = [\"northwind\"]\n");
    let rig = Rig::builder(name)
        .relay("northwind", "")
        .settings(&settings)
        .start();
    let mut client = rig.user("alice@acme.test");
    rig.send(
        &mut client,
        sender,
        &["bob@outside.test"],
        &plain("alice@acme.test", "r13"),
    );
    rig.only("northwind")
}

#[test]
fn r13_kept() {
    let delivery = sent("r13-keep", "return-path = \"keep\"", "app@hosts.test");
    assert_eq!(delivery.sender, "app@hosts.test");
}

#[test]
fn r13_the_author() {
    let delivery = sent("r13-author", "return-path = \"author\"", "app@hosts.test");
    assert_eq!(delivery.sender, "alice@acme.test");
}

#[test]
fn r13_one_fixed_address() {
    let delivery = sent(
        "r13-fixed",
        "return-path = \"returns@acme.test\"",
        "app@hosts.test",
    );
    assert_eq!(delivery.sender, "returns@acme.test");
}

#[test]
fn r13_a_variable_address_of_ours() {
    let settings = "return-path = \"verp\"\nbounce-domain = \"bounce.acme.test\"";
    let delivery = sent("r13-verp", settings, "app@hosts.test");
    let (local, domain) = delivery.sender.rsplit_once('@').expect("an address");
    assert_eq!(domain, "bounce.acme.test");
    assert!(local.len() > 8 && local.len() <= 64, "{local}");
}

#[test]
fn r13_null_stays_null() {
    for (number, line) in [
        "return-path = \"author\"",
        "return-path = \"returns@acme.test\"",
        "return-path = \"verp\"\nbounce-domain = \"bounce.acme.test\"",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(
            sent(&format!("r13-null-{number}"), line, "").sender,
            "",
            "{line}"
        );
    }
}

#[test]
fn r13_a_relay_may_have_a_return_path_of_its_own() {
    let lines = "return-path = \"keep\"\n[relay.northwind]\nreturn-path = \"author\"\n";
    assert_eq!(
        sent("r13-relay", lines, "app@hosts.test").sender,
        "alice@acme.test"
    );
}
