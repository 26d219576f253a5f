//! R15: DKIM, judged by verifiers that are not ours.

use waxseal_tests::dkim::{Signature, verify};
use waxseal_tests::{Delivery, Rig};

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
fn r15_the_signature_covers_the_notice_that_was_inserted() {
    let settings = acme("relays = [\"northwind\"]\nsign = true\nnotices = [\"legal\"]")
        + "[notice.legal]\ntext = \"Acme Ltd – registered in Berlin\"\n";
    let rig = rig("r15-notice", &settings);
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
    let mut spec = waxseal_tests::sink::Spec::open("northwind");
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
