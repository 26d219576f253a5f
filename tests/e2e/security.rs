//! R4: TLS and login at a relay, as the generated configuration has it. Who
//! besides Postfix reaches the milters, and who can write what decides.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use waxseal_testkit::sink::Spec;
use waxseal_testkit::{Rig, RigBuilder, wait_for};

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

/// Connects to a socket file as user `nobody`.
fn nobody_connects(path: &std::path::Path) -> bool {
    let program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(path)
        .uid(65534)
        .gid(65534)
        .output()
        .expect("python3");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || why.contains("PermissionError"),
        "{why}"
    );
    output.status.success()
}

#[test]
fn m2_postfix_in_its_chroot_reaches_the_sockets_and_other_users_do_not() {
    let rig = Rig::builder("m2-chroot")
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]"))
        .split()
        .chroot()
        .start();
    let main = std::fs::read_to_string(rig.path("etc/main.cf")).expect("main.cf");
    assert!(
        main.contains("\nsmtpd_milters = { unix:waxseal/mx.sock, "),
        "{main}"
    );
    let message = plain("alice@acme.test", "m2");
    let both = ["eve@outside.test", "bob@inside.test"];
    rig.send_as("alice@acme.test", &both, &message);
    let mut client = rig.submission();
    rig.send(
        &mut client,
        "alice@acme.test",
        &["eve@outside.test"],
        &message,
    );
    rig.settle();
    let counts = ["northwind", "inside", "default"].map(|name| rig.sink(name).count());
    assert_eq!(counts, [2, 1, 0]);
    for name in ["mx", "users", "back"] {
        let path = rig.path(&format!("queue/waxseal/{name}.sock"));
        let mode = std::fs::metadata(&path).expect("the socket").permissions();
        assert_eq!(mode.mode() & 0o777, 0o660, "{name}");
        assert!(!nobody_connects(&path), "{name}");
    }
}

#[test]
fn l7_files_that_others_can_write_are_logged_at_the_start_and_at_a_reload() {
    let mut rig = Rig::builder("l7")
        .settings(&acme("sign = true"))
        .config("[dkim]\ngenerate = true")
        .prepare();
    let folder = rig.path("");
    let set = |name: &str, mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.join(name), mode).expect("chmod");
    };
    set("settings.toml", 0o666);
    rig.waxseal.start();
    let warned = |rig: &Rig, text: &str| {
        let log = rig.waxseal.log();
        let is = |line: &&str| line.contains("WARN") && line.contains(text);
        log.lines().filter(is).count()
    };
    let text = "settings.toml: every user of this machine can write to this file (mode 0666)";
    assert_eq!(warned(&rig, text), 1, "{}", rig.waxseal.log());
    set("settings.toml", 0o644);
    set("keys", 0o733);
    rig.waxseal.reload();
    let text = "keys: every user of this machine can write to this folder (mode 0733)";
    wait_for("a warning", || (warned(&rig, text) == 1).then_some(()));
}
