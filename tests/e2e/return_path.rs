//! R13: the envelope sender that a message leaves with.

use waxseal_testkit::{Delivery, Rig};

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

const VERP: &str = "return-path = \"verp\"\nbounce-domain = \"bounce.acme.test\"\n";

#[test]
fn d1_a_message_to_colleagues_alone_keeps_its_return_path() {
    for (number, lines) in [VERP, "return-path = \"returns@acme.test\"\n"]
        .iter()
        .enumerate()
    {
        let settings = format!("{lines}[domain.\"acme.test\"]\nrelays = [\"northwind\"]\n");
        let rig = Rig::builder(&format!("d1-inside-{number}"))
            .relay("northwind", "")
            .settings(&settings)
            .split()
            .start();
        let message = plain("alice@acme.test", "d1");
        rig.send_as("alice@acme.test", &["bob@inside.test"], &message);
        assert_eq!(rig.only("inside").sender, "alice@acme.test");
        // One recipient outside, and the message is another.
        let both = ["bob@inside.test", "eve@outside.test"];
        rig.send_as("alice@acme.test", &both, &message);
        rig.settle();
        let relayed = rig.sink("northwind").deliveries().remove(0);
        assert_ne!(relayed.sender, "alice@acme.test");
        assert_eq!(rig.sink("inside").deliveries()[1].sender, relayed.sender);
    }
}

#[test]
fn d1_a_bounce_domain_alone_changes_no_return_path() {
    let settings = "bounce-domain = \"bounce.acme.test\"";
    let delivery = sent("d1-default", settings, "app@hosts.test");
    assert_eq!(delivery.sender, "app@hosts.test");
}

#[test]
fn d1_check_warns_of_verp_at_its_line() {
    let rig = Rig::builder("d1-check").settings(VERP).prepare();
    std::fs::write(
        rig.path("settings.toml"),
        format!("{VERP}[domain.\"acme.test\"]\n"),
    )
    .expect("settings");
    let checked = rig.waxseal.json(&["check"]);
    let problems = checked["problems"].as_array().expect("problems");
    let about = problems.iter().find(|problem| {
        let message = problem["message"].as_str().unwrap_or_default();
        message.starts_with(
            "this version does not forward bounces and automatic replies to bounce.acme.test",
        )
    });
    let about = about.unwrap_or_else(|| panic!("no warning in {checked}"));
    assert_eq!(
        (&about["severity"], &about["line"]),
        (&"warning".into(), &1.into())
    );
}
