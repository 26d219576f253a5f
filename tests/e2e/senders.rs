//! R20, second half: who may send as whom, and what is signed for nobody.

use waxseal_testkit::dkim::verify;
use waxseal_testkit::{Client, Reply, Rig, wait_for};

use crate::mail::{acme, plain, with_fields};

/// Two customers. The network that is listed belongs to acme.test.
fn settings() -> String {
    format!(
        r#"
return-path = "keep"
sign = true
[domain."acme.test"]
relays = ["northwind"]
users = ["*@acme.test", "crm"]
networks = ["{}", "127.0.0.1"]
[domain."globex.test"]
relays = ["quarry"]
users = "*@globex.test"
"#,
        waxseal_testkit::LISTED
    )
}

fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("northwind", "")
        .relay("quarry", "")
        .settings(&settings())
        .networks(&format!("\"{}\", \"127.0.0.1\"", waxseal_testkit::LISTED))
        .config("[dkim]\ngenerate = true")
        .start()
}

const OUTSIDE: [&str; 1] = ["bob@outside.test"];

fn send(client: &mut Client, sender: &str, message: &[u8]) -> Reply {
    client.send(sender, &OUTSIDE, message).expect("a reply")
}

fn assert_refused(reply: &Reply, domain: &str) {
    assert_eq!(reply.code, 550, "{reply:?}");
    let text = format!("5.7.1 You are not allowed to send as {domain}.");
    assert!(reply.text.contains(&text), "{reply:?}");
}

/// The relay that got one more message, and what domains signed it.
fn took(rig: &Rig, relay: &str, before: usize) -> Vec<String> {
    let arrived = rig.arrived(relay);
    assert_eq!(arrived.len(), before + 1, "{relay}");
    let mut records = rig.records("acme.test");
    records.extend(rig.records("globex.test"));
    let signatures = verify(&arrived[before].bytes, &records);
    assert!(signatures.iter().all(|it| it.valid), "{signatures:?}");
    signatures.into_iter().map(|it| it.domain).collect()
}

#[test]
fn h3_no_login_gets_the_relay_and_the_signature_of_another_domain() {
    let rig = rig("h3-login");
    let mut ann = rig.user("ann@acme.test");
    let from = |fields: &str| -> Vec<u8> {
        format!("{fields}\r\nTo: bob@outside.test\r\nSubject: h3\r\n\r\nHi\r\n").into_bytes()
    };
    let (own, other) = ("ann@acme.test", "ceo@globex.test");
    for (sender, fields) in [
        (own, "From: CEO <ceo@globex.test>"),
        (
            own,
            "From: ann@acme.test, ceo@globex.test\r\nSender: ann@acme.test",
        ),
        (own, "From: a@x.test, b@x.test\r\nSender: z@globex.test"),
        (own, "From: ann@acme.test\r\nSender: CEO <ceo@globex.test>"),
        (own, "From: Board: ceo@globex.test;"),
        (
            own,
            "From: =?utf-8?q?CEO?= (ann@acme.test)\r\n\t<ceo@globex.test>",
        ),
        (own, "From: \"ann@acme.test\"@globex.test"),
        (own, "From: <@acme.test:ceo@globex.test>"),
        (own, "From: ann@acme.test\r\nFrom: ceo@globex.test"),
        (other, "From: a@nowhere.test\r\nFrom: ceo@globex.test"),
        (other, "From: ceo@globex.test:;"),
        (other, "From: ann@acme.test"),
        (other, "Subject: no author"),
    ] {
        assert_refused(&send(&mut ann, sender, &from(fields)), "globex.test");
    }
    rig.settle();
    for sink in ["northwind", "quarry", "default", "inside"] {
        assert_eq!(rig.sink(sink).count(), 0, "{sink}");
    }
    let reply = send(&mut ann, own, &plain(own, "own"));
    assert!(reply.is_positive(), "{reply:?}");
    assert_eq!(took(&rig, "northwind", 0), ["acme.test"]);
    let mut hank = rig.user("hank@globex.test");
    let reply = send(
        &mut hank,
        "hank@globex.test",
        &plain("hank@globex.test", "own"),
    );
    assert!(reply.is_positive(), "{reply:?}");
    assert_eq!(took(&rig, "quarry", 0), ["globex.test"]);
}

#[test]
fn r20_each_listener_holds_its_clients_to_the_domains_they_may_send_for() {
    let rig = rig("r20-listeners");
    let acme = plain("crm@acme.test", "r20");
    let globex = plain("ceo@globex.test", "r20");
    let listed = &mut rig.listed();
    let reply = send(listed, "crm@acme.test", &acme);
    assert!(reply.is_positive(), "mixed, listed network: {reply:?}");
    assert_refused(&send(listed, "ceo@globex.test", &globex), "globex.test");
    let crm = &mut rig.user("crm");
    let reply = send(crm, "crm@acme.test", &acme);
    assert!(reply.is_positive(), "mixed, login: {reply:?}");
    assert_refused(&send(crm, "ceo@globex.test", &globex), "globex.test");
    // The service lets this client in without a login, and nobody lists it.
    let submission = &mut rig.submission();
    assert_refused(&send(submission, "crm@acme.test", &acme), "acme.test");
    let mut ann = rig.submission();
    ann.login("ann@acme.test").expect("a login");
    let reply = send(&mut ann, "ann@acme.test", &plain("ann@acme.test", "s"));
    assert!(reply.is_positive(), "submission, login: {reply:?}");
    assert_refused(&send(&mut ann, "ceo@globex.test", &globex), "globex.test");
    // A stranger's mail is not decided on, whatever it says, and not signed.
    let reply = send(&mut rig.stranger(), "crm@acme.test", &acme);
    assert!(reply.is_positive(), "{reply:?}");
    rig.settle();
    let count = |sink: &str| rig.sink(sink).count();
    assert_eq!(
        (count("northwind"), count("quarry"), count("default")),
        (3, 0, 1)
    );
    let stranger = &rig.sink("default").deliveries()[0];
    assert!(stranger.header("DKIM-Signature").is_empty());
}

#[test]
fn r20_programs_on_this_host_send_for_domains_that_list_it() {
    let rig = rig("r20-local");
    let local = |sender: &str, author: &str| {
        rig.postfix
            .sendmail(sender, &OUTSIDE, &plain(author, "local"));
    };
    local("cron@acme.test", "cron@acme.test");
    rig.waited_for("northwind");
    assert_eq!(took(&rig, "northwind", 0), ["acme.test"]);
    local("cron@globex.test", "cron@globex.test");
    wait_for("the rejection", || {
        rig.postfix
            .log()
            .contains("You are not allowed to send as globex.test")
            .then_some(())
    });
    // It cannot be refused to anybody: not lost, and vouched for by nobody.
    local("<>", "MAILER-DAEMON@globex.test");
    wait_for("the report of this host", || {
        let report = rig.sink("default").deliveries();
        let found = |it: &waxseal_testkit::Delivery| {
            it.header("From")
                .iter()
                .any(|from| from.contains("MAILER-DAEMON@globex.test"))
                && it.header("DKIM-Signature").is_empty()
        };
        report.iter().any(found).then_some(())
    });
    assert_eq!(rig.sink("quarry").count(), 0);
}

#[test]
fn h3_two_from_fields_are_refused_and_not_signed() {
    let rig = Rig::builder("h3-from")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .start();
    for fields in ["From: b@acme.test\r\n", "FROM: Ceo <c@acme.test>\r\n"] {
        let message = with_fields("alice@acme.test", "h3", fields);
        let reply = rig.try_as("alice@acme.test", &OUTSIDE, &message);
        assert_eq!(reply.code, 554, "{reply:?}");
        assert!(
            reply.text.contains("5.6.0") && reply.text.contains("2 From fields"),
            "{reply:?}"
        );
    }
    assert!(rig.waxseal.log().contains("2 From fields"));
    rig.send_as(
        "alice@acme.test",
        &OUTSIDE,
        &plain("alice@acme.test", "one"),
    );
    assert_eq!(rig.only("northwind").header("DKIM-Signature").len(), 1);
}

#[test]
fn h3_a_signature_that_is_not_aligned_needs_the_administrators_word() {
    let unaligned = |name: &str, dkim: &str| {
        Rig::builder(name)
            .relay("northwind", "")
            .settings(&acme("relays = [\"northwind\"]\nsign = \"mailer.test\""))
            .config(&format!("[dkim]\ngenerate = true\n{dkim}"))
            .start()
    };
    let message = plain("alice@acme.test", "h3");
    let rig = unaligned("h3-unaligned", "");
    let reply = rig.try_as("alice@acme.test", &OUTSIDE, &message);
    assert!(reply.is_temporary(), "{reply:?}");
    let log = rig.waxseal.log();
    let pair = "allow-unaligned = [{ author = \"acme.test\", sign = \"mailer.test\" }]";
    assert!(log.replace('\\', "").contains(pair), "{log}");
    drop(rig);

    let rig = unaligned("h3-allowed", pair);
    rig.send_as("alice@acme.test", &OUTSIDE, &message);
    let signatures = verify(&rig.only("northwind").bytes, &rig.records("mailer.test"));
    assert_eq!(signatures.len(), 1, "{signatures:?}");
    assert!(signatures[0].valid && signatures[0].domain == "mailer.test");
}
