//! R4: TLS and login at a relay, as the generated configuration has it.

use std::os::unix::fs::PermissionsExt as _;

use waxseal_tests::sink::Spec;
use waxseal_tests::{Rig, RigBuilder, wait_for};

use crate::mail::{acme, plain};

const PASSWORD: &str = "s3cret with:colon";

/// A relay at `localhost` whose certificate is for `certified`.
fn secure_relay(name: &str, security: &'static str, certified: &str, lines: &str) -> RigBuilder {
    let rig = Rig::builder(name).settings(&acme("relays = [\"northwind\"]"));
    let folder = rig.folder().to_owned();
    let password = folder.join("northwind.secret");
    std::fs::write(&password, format!("{PASSWORD}\n")).expect("password");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("mode");
    let mut spec = Spec::secure("northwind", security, certified, &folder);
    spec.login = Some(("acme".into(), PASSWORD.into()));
    let lines = format!(
        "host = \"localhost\"\nsecurity = \"{security}\"\nuser = \"acme\"\n\
         password-file = \"northwind.secret\"\n{lines}"
    );
    rig.relay_as(spec, &lines)
}

fn send(rig: &Rig) {
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r4"),
    );
}

#[test]
fn r4_starttls_with_a_checked_certificate_and_a_login() {
    let rig = secure_relay(
        "r4-starttls",
        "starttls",
        "localhost",
        "ca-file = \"northwind.pem\"",
    )
    .start();
    send(&rig);
    let delivery = rig.only("northwind");
    assert!(delivery.tls);
    assert_eq!(delivery.user.as_deref(), Some("acme"));
    assert!(
        rig.postfix
            .log()
            .contains("Verified TLS connection established")
    );
    rig.postfix.check();
}

#[test]
fn r4_implicit_tls_with_a_checked_certificate_and_a_login() {
    let rig = secure_relay("r4-tls", "tls", "localhost", "ca-file = \"northwind.pem\"").start();
    send(&rig);
    let delivery = rig.only("northwind");
    assert!(delivery.tls);
    assert_eq!(delivery.user.as_deref(), Some("acme"));
}

#[test]
fn r4_without_checking_any_certificate_will_do() {
    let rig = secure_relay(
        "r4-any",
        "starttls",
        "other.test",
        "verify-certificate = false",
    )
    .start();
    send(&rig);
    assert!(rig.only("northwind").tls);
}

#[test]
fn r4_a_certificate_for_another_name_gets_no_mail_and_no_password() {
    let rig = secure_relay(
        "r4-wrong",
        "starttls",
        "other.test",
        "ca-file = \"northwind.pem\"",
    )
    .start();
    send(&rig);
    wait_for("Postfix to refuse the certificate", || {
        rig.postfix
            .log()
            .contains("Server certificate not verified")
            .then_some(())
    });
    assert_eq!(rig.sink("northwind").count(), 0);
    assert_eq!(rig.postfix.queued(), 1, "the message waits");
}

#[test]
fn r4_a_password_is_in_no_log_and_on_no_terminal() {
    let rig = secure_relay(
        "r4-secret",
        "starttls",
        "localhost",
        "ca-file = \"northwind.pem\"",
    )
    .start();
    send(&rig);
    rig.only("northwind");
    let shown = [
        rig.waxseal.output(&["postfix"]),
        rig.waxseal.json(&["postfix"]).to_string(),
        rig.waxseal.log(),
        rig.postfix.log(),
    ];
    for text in shown {
        assert!(!text.contains("s3cret"), "{text}");
    }
    let map = rig.path("etc/waxseal/northwind.password");
    let mode = std::fs::metadata(map)
        .expect("the password map")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
