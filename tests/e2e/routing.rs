//! R1, R2, R3, R5: which relay a message takes.

use waxseal_testkit::Rig;

use crate::mail::{acme, plain, with_fields};

const TYPES: &str = r#"
return-path = "keep"
default-type = "individual"
users = "*"

[type.bulk]
when = [{ header = "X-Mail-Type", is = ["bulk"] }]

[type.workflow]
when = [{ header = "X-Mail-Type", is = ["workflow"] }]

[type.system]
never-relayed = true
when = [{ header = "X-Mail-Type", is = ["system"] }]

[type.individual]

[domain."acme.test"]
relays = ["northwind"]
[domain."acme.test".type.bulk]
relays = ["bluebird"]
[domain."acme.test".type.individual]
relays = []

[domain."widgets.test"]
subdomains = true
relays = ["bluebird"]

[domain.default]
relays = ["quarry"]
"#;

fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("northwind", "")
        .relay("bluebird", "")
        .relay("quarry", "")
        .settings(TYPES)
        .start()
}

#[test]
fn r1_a_message_goes_out_through_its_relay_and_shows_no_trace_of_how() {
    let rig = Rig::builder("r1")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]"))
        .start();
    let message = plain("alice@acme.test", "r1");
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test", "eve@other.test"],
        &message,
    );
    let delivery = rig.only("northwind");
    assert_eq!(delivery.sender, "alice@acme.test");
    assert_eq!(delivery.recipients, ["bob@outside.test", "eve@other.test"]);
    assert!(
        delivery.bytes.ends_with(&message),
        "the message itself has changed"
    );
    let names = delivery.field_names().join(" ").to_lowercase();
    assert!(!names.contains("waxseal"), "{names}");
}

#[test]
fn r2_the_sending_domain_chooses_the_relay_and_the_default_entry_takes_the_rest() {
    let rig = rig("r2");
    for (author, relay) in [
        ("a@widgets.test", "bluebird"),
        ("a@news.widgets.test", "bluebird"),
        ("a@elsewhere.test", "quarry"),
        // No subdomains in this entry: it is one of the rest.
        ("a@sub.acme.test", "quarry"),
    ] {
        let subject = format!("from {author}");
        rig.send_as("user", &["bob@outside.test"], &plain(author, &subject));
        let arrived = rig.arrived(relay);
        let found = arrived
            .iter()
            .any(|delivery| delivery.header("Subject") == [subject.as_str()]);
        assert!(found, "{author} should go by {relay}");
    }
    assert_eq!(rig.sink("default").count(), 0);
    assert_eq!(rig.sink("northwind").count(), 0);
}

#[test]
fn r2_without_a_default_entry_other_domains_take_the_default_route() {
    let rig = Rig::builder("r2-none")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]"))
        .start();
    rig.send_as(
        "user",
        &["bob@outside.test"],
        &plain("a@elsewhere.test", "r2"),
    );
    rig.only("default");
}

#[test]
fn r3_each_mail_type_takes_the_relay_that_it_is_bound_to() {
    let rig = rig("r3");
    let types = [
        ("bulk", "bluebird"),
        ("workflow", "northwind"),
        ("system", "default"),
        ("none", "default"),
    ];
    for (mail_type, sink) in types {
        let message = with_fields(
            "alice@acme.test",
            mail_type,
            &format!("X-Mail-Type: {mail_type}\r\n"),
        );
        rig.send_as("alice@acme.test", &["bob@outside.test"], &message);
        let arrived = rig.arrived(sink);
        let found = arrived
            .iter()
            .any(|delivery| delivery.header("Subject") == [mail_type]);
        assert!(found, "type {mail_type} should go by {sink}");
    }
    assert_eq!(rig.sink("quarry").count(), 0);
}

#[test]
fn r5_past_its_daily_maximum_the_next_relay_is_taken_and_then_the_default_route() {
    let rig = Rig::builder("r5")
        .relay("northwind", "daily-maximum = 2")
        .relay("bluebird", "daily-maximum = 1")
        .settings(&acme("relays = [\"northwind\", \"bluebird\"]"))
        .start();
    for number in 0..5 {
        rig.send_as(
            "alice@acme.test",
            &["bob@outside.test"],
            &plain("alice@acme.test", &format!("n{number}")),
        );
    }
    rig.settle();
    let counts = ["northwind", "bluebird", "default"].map(|name| rig.sink(name).count());
    assert_eq!(counts, [2, 1, 2]);
}

#[test]
fn r5_a_daily_maximum_outlives_the_daemon() {
    let mut rig = Rig::builder("r5-restart")
        .relay("northwind", "daily-maximum = 2")
        .settings(&acme("relays = [\"northwind\"]"))
        .start();
    for number in 0..4 {
        rig.send_as(
            "alice@acme.test",
            &["bob@outside.test"],
            &plain("alice@acme.test", &format!("n{number}")),
        );
        rig.settle();
        rig.waxseal.kill();
        rig.waxseal.start();
    }
    let past = rig.sink("northwind").count();
    assert!(past <= 2, "{past} messages, past the maximum of 2");
    assert_eq!(
        past + rig.sink("default").count(),
        4,
        "none is refused or lost for it"
    );
}
