//! R20: only outgoing mail is touched, and nobody gets in by pretending.

use waxseal_testkit::{Client, Rig};

use crate::mail::{acme, plain, with_fields};

fn rig(name: &str) -> Rig {
    let settings = acme("relays = [\"northwind\"]\nsign = true\ndisclaimers = [\"legal\"]")
        + "[disclaimer.legal]\ntext = \"Acme Ltd\"\n";
    Rig::builder(name)
        .relay("northwind", "")
        .settings(&settings)
        .config("[dkim]\ngenerate = true")
        .start()
}

#[test]
fn r20_what_a_stranger_sends_in_our_name_passes_byte_for_byte_and_unsigned() {
    let rig = rig("r20-stranger");
    let message = plain("alice@acme.test", "r20");
    rig.send(
        &mut rig.stranger(),
        "evil@stranger.test",
        &["bob@inside.test"],
        &message,
    );
    let delivery = rig.only("inside");
    assert!(
        delivery.bytes.ends_with(&message),
        "{}",
        String::from_utf8_lossy(&delivery.bytes)
    );
    assert_eq!(delivery.sender, "evil@stranger.test");
    assert!(delivery.header("DKIM-Signature").is_empty());
}

#[test]
fn r20_a_stranger_whose_mail_leaves_is_not_relayed_either() {
    let rig = rig("r20-out");
    let message = plain("alice@acme.test", "r20");
    rig.send(
        &mut rig.stranger(),
        "evil@stranger.test",
        &["bob@outside.test"],
        &message,
    );
    let delivery = rig.only("default");
    assert!(delivery.bytes.ends_with(&message));
    assert!(delivery.header("DKIM-Signature").is_empty());
}

fn assert_decided_on(rig: &Rig, mut client: Client) {
    rig.send(
        &mut client,
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r20"),
    );
    let delivery = rig.only("northwind");
    assert_eq!(delivery.header("DKIM-Signature").len(), 1);
    assert!(delivery.body_text().contains("Acme Ltd"));
}

#[test]
fn r20_a_user_who_logged_in_is_decided_on() {
    let rig = rig("r20-user");
    assert_decided_on(&rig, rig.user("alice@acme.test"));
}

#[test]
fn r20_a_listed_network_is_decided_on() {
    let rig = rig("r20-network");
    assert_decided_on(&rig, rig.listed());
}

#[test]
fn r20_all_mail_of_a_submission_listener_is_decided_on() {
    let rig = rig("r20-submission");
    assert_decided_on(&rig, rig.submission());
}

#[test]
fn r20_one_connection_may_carry_several_messages() {
    let rig = rig("r20-several");
    let mut client = rig.user("alice@acme.test");
    for number in 0..5 {
        let message = plain("alice@acme.test", &format!("n{number}"));
        rig.send(
            &mut client,
            "alice@acme.test",
            &["bob@outside.test"],
            &message,
        );
    }
    let deliveries = rig.arrived("northwind");
    assert_eq!(deliveries.len(), 5);
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.header("DKIM-Signature").len() == 1)
    );
}

#[test]
fn r20_nobody_chooses_a_relay_by_writing_our_header() {
    let rig = rig("r20-forged");
    let forged = format!(
        "x-waxseal-route: waxseal-northwind:{}\r\n",
        rig.sink("northwind").nexthop()
    );
    let twice = format!("{forged}X-Waxseal-Route : nonsense\r\n");
    // An author of no relay's domain; a user, whose mail is decided on.
    rig.send_as(
        "user",
        &["bob@outside.test"],
        &with_fields("a@other.test", "by a user", &twice),
    );
    let delivery = rig.only("default");
    assert!(
        !delivery
            .field_names()
            .iter()
            .any(|name| name.to_lowercase().contains("waxseal"))
    );
    // A stranger, whose mail is not.
    let message = with_fields("a@other.test", "by a stranger", &forged);
    rig.send(
        &mut rig.stranger(),
        "a@other.test",
        &["bob@inside.test"],
        &message,
    );
    rig.settle();
    assert_eq!(
        (rig.sink("inside").count(), rig.sink("northwind").count()),
        (1, 0)
    );
}

#[test]
fn r20_a_forged_header_does_not_lead_a_message_elsewhere() {
    let rig = rig("r20-lead");
    let forged = format!(
        "X-Waxseal-Route: waxseal-northwind:{}\r\n",
        rig.sink("default").nexthop()
    );
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &with_fields("alice@acme.test", "r20", &forged),
    );
    let delivery = rig.only("northwind");
    assert!(
        !delivery
            .field_names()
            .iter()
            .any(|name| name.to_lowercase().contains("waxseal"))
    );
}
