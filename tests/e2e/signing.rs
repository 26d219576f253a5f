//! R15: DKIM, judged by verifiers that are not ours.

use waxseal_testkit::dkim::{Signature, verify};
use waxseal_testkit::{Delivery, Rig};

use crate::mail::{acme, mime, plain};

/// A rig with both kinds of keys for acme.test.
fn rig(name: &str, lines: &str) -> Rig {
    let rig = Rig::builder(name)
        .relay("northwind", "")
        .settings(lines)
        .prepare();
    for algorithm in ["rsa", "ed25519"] {
        rig.waxseal
            .output(&["dkim", "new", "acme.test", "--algorithm", algorithm]);
    }
    let mut rig = rig;
    rig.waxseal.start();
    rig
}

fn judged(rig: &Rig, delivery: &Delivery) -> Vec<Signature> {
    verify(&delivery.bytes, &rig.records("acme.test"))
}

fn assert_both_valid(signatures: &[Signature]) {
    let algorithms: Vec<_> = signatures
        .iter()
        .map(|signature| signature.algorithm.as_str())
        .collect();
    assert_eq!(algorithms, ["ed25519-sha256", "rsa-sha256"]);
    for signature in signatures {
        assert!(
            signature.valid && signature.domain == "acme.test",
            "{signature:?}"
        );
    }
}

#[test]
fn r15_rsa_and_ed25519_both_stand_by_two_verifiers() {
    let rig = rig("r15", &acme("relays = [\"northwind\"]\nsign = true"));
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r15"),
    );
    let delivery = rig.only("northwind");
    assert_both_valid(&judged(&rig, &delivery));
    let mut altered = delivery.bytes.clone();
    let at = altered
        .windows(4)
        .rposition(|four| four == b"Dear")
        .expect("the body");
    altered[at] = b'd';
    let signatures = verify(&altered, &rig.records("acme.test"));
    assert!(
        signatures.iter().all(|signature| !signature.valid),
        "a changed body still verifies"
    );
}

#[test]
fn r15_the_default_route_is_signed_too() {
    let rig = rig("r15-default", &acme("sign = true"));
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r15"),
    );
    assert_both_valid(&judged(&rig, &rig.only("default")));
}

#[test]
fn r15_a_domain_that_is_not_to_be_signed_is_not() {
    let rig = rig("r15-off", &acme("relays = [\"northwind\"]\nsign = false"));
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r15"),
    );
    assert!(rig.only("northwind").header("DKIM-Signature").is_empty());
}

#[test]
fn r15_the_signature_covers_the_disclaimer_that_was_inserted() {
    let settings = acme("relays = [\"northwind\"]\nsign = true\ndisclaimers = [\"legal\"]")
        + "[disclaimer.legal]\ntext = \"Acme Ltd – registered in Berlin\"\n";
    let rig = rig("r15-disclaimer", &settings);
    for content in [
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n",
        "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>Gr=C3=BC=C3=9Fe</p>\n",
        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nHello\n\n--b\nContent-Type: text/html\n\n<p>Hello</p>\n\n--b--\n",
    ] {
        let before = rig.sink("northwind").count();
        rig.send_as(
            "alice@acme.test",
            &["bob@outside.test"],
            &mime("alice@acme.test", content),
        );
        let delivery = rig.arrived("northwind").remove(before);
        assert_both_valid(&judged(&rig, &delivery));
        let text = String::from_utf8_lossy(&delivery.bytes);
        assert!(text.contains("registered in Berlin"), "{text}");
    }
}

#[test]
fn r15_what_a_relay_without_8bitmime_gets_still_verifies() {
    let mut spec = waxseal_testkit::sink::Spec::open("northwind");
    spec.eight_bit = false;
    let lines = "host = \"@HOST-northwind@\"\nsecurity = \"none\"\neight-bit = false\n";
    let mut rig = Rig::builder("r15-7bit")
        .relay_as(spec, lines)
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .prepare();
    rig.waxseal.start();
    let content = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße aus Köln\n";
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &mime("alice@acme.test", content),
    );
    let delivery = rig.only("northwind");
    let signatures = judged(&rig, &delivery);
    assert!(
        !signatures.is_empty() && signatures.iter().all(|one| one.valid),
        "{signatures:?}"
    );
}

#[test]
fn r15_keys_are_made_when_they_are_first_needed() {
    let rig = Rig::builder("r15-generate")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .start();
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r15"),
    );
    let signatures = judged(&rig, &rig.only("northwind"));
    assert!(
        !signatures.is_empty() && signatures.iter().all(|one| one.valid),
        "{signatures:?}"
    );
}

#[test]
fn l9_a_replay_adds_no_field_that_a_mail_program_acts_on() {
    let rig = rig("l9", &acme("relays = [\"northwind\"]\nsign = true"));
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "l9"),
    );
    let delivery = rig.only("northwind");
    assert_both_valid(&judged(&rig, &delivery));
    for field in [
        "Sender: ceo@evil.test",
        "List-Unsubscribe: <https://evil.test/u>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "References: <1@evil.test>",
        "In-Reply-To: <1@evil.test>",
    ] {
        let replayed = [field.as_bytes(), b"\r\n", &delivery.bytes].concat();
        let signatures = verify(&replayed, &rig.records("acme.test"));
        assert!(
            signatures.len() == 2 && signatures.iter().all(|one| !one.valid),
            "{field}: {signatures:?}"
        );
    }
    // What a mailing list rightly adds does no harm.
    let listed = [b"List-Id: <l.test>\r\n", &delivery.bytes[..]].concat();
    assert_both_valid(&verify(&listed, &rig.records("acme.test")));
}

#[test]
fn l9_a_signature_that_expires_is_valid_until_then() {
    let rig = Rig::builder("l9-expire")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true\nexpire = \"7d\"")
        .start();
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "l9"),
    );
    let delivery = rig.only("northwind");
    let signatures = judged(&rig, &delivery);
    assert!(
        signatures.len() == 1 && signatures[0].valid,
        "{signatures:?}"
    );
    let field = delivery.header("DKIM-Signature").concat();
    let number = |tag: &str| -> u64 {
        let value = field.split(';').find_map(|it| it.trim().strip_prefix(tag));
        value.expect(tag).parse().expect("a number")
    };
    assert_eq!(number("x=") - number("t="), 7 * 24 * 60 * 60, "{field}");
}

#[test]
fn l5_a_new_key_signs_nothing_before_the_next_reload() {
    let lines = acme("relays = [\"northwind\"]\nsign = true");
    let rig = Rig::builder("l5")
        .relay("northwind", "")
        .settings(&lines)
        .config("[dkim]\ngenerate = true")
        .start();
    let send = |subject: &str| {
        let before = rig.sink("northwind").count();
        rig.send_as(
            "alice@acme.test",
            &["bob@outside.test"],
            &plain("alice@acme.test", subject),
        );
        let delivery = rig.arrived("northwind").remove(before);
        let signatures = judged(&rig, &delivery);
        assert!(signatures.iter().all(|one| one.valid), "{signatures:?}");
        signatures.len()
    };
    let version = || rig.waxseal.json(&["policy", "status"])["versions"][0]["number"].clone();
    assert_eq!(send("before"), 1);
    let made = ["dkim", "new", "acme.test", "--algorithm", "ed25519"];
    let key = rig.waxseal.json(&made);
    assert_eq!(key["algorithm"], "ed25519", "{key}");
    let first = version();
    std::fs::write(rig.path("settings.toml"), format!("{lines}# a comment\n")).expect("written");
    waxseal_testkit::wait_for("the changed settings to be in service", || {
        (version() != first).then_some(())
    });
    assert_eq!(
        send("other settings"),
        1,
        "the new key is not published yet"
    );
    rig.waxseal.reload();
    waxseal_testkit::wait_for("the reload", || {
        rig.waxseal.log().contains("reloaded:").then_some(())
    });
    assert_eq!(send("reloaded"), 2);
}
