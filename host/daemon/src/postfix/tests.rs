use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{QUEUE_DIRECTORY, Setup, WriteError};
use waxseal::config::{Config, read_text};

const WHOLE: &str = r#"
hostname = "mail.acme.test"

[policy]
file = "standard.wasm"

[[listener]]
name = "mx"
address = "unix:/var/spool/postfix/waxseal/milter.sock"

[[listener]]
name = "users"
mode = "submission"
address = "inet:127.0.0.1:8893"

[[listener]]
name = "back"
mode = "split"
address = "inet:127.0.0.1:8892"
smtpd = "127.0.0.1:10025"

[relay.northwind]
host = "smtp.northwind.test"
port = 465
user = "acme"
password-file = "/etc/waxseal/northwind.password"

[relay.bluebird]
host = "mail.bluebird.test"
ca-file = "/etc/waxseal/bluebird.pem"

[relay.quarry]
host = "10.0.0.7"
port = 25
security = "none"
"#;

fn keep_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("password");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
}

fn config(text: &str) -> Config {
    read_text(Path::new("/etc/waxseal/waxseal.toml"), text).expect("config")
}

fn setup(text: &str) -> Setup {
    Setup::of(
        &config(text),
        Path::new("/etc/postfix/waxseal"),
        Path::new(QUEUE_DIRECTORY),
    )
}

/// Compares with a file beside this one. `WAXSEAL_BLESS=1` writes it anew.
fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/postfix/golden")
        .join(name);
    if std::env::var_os("WAXSEAL_BLESS").is_some() {
        fs::write(&path, text).expect("golden file");
    }
    let golden = fs::read_to_string(&path).expect("golden file");
    assert_eq!(
        text,
        golden,
        "{} (WAXSEAL_BLESS=1 writes it anew)",
        path.display()
    );
}

#[test]
fn the_whole_page_is_as_it_was_reviewed() {
    assert_golden("page.txt", &setup(WHOLE).page());
}

#[test]
fn only_our_own_destinations_are_let_through_and_nothing_in_them_is_a_pattern() {
    let checks = setup(WHOLE).header_checks();
    let rule = r"/^X-Waxseal-Route:[[:space:]]*waxseal-quarry:\[10\.0\.0\.7\]:25[[:space:]]*$/ FILTER waxseal-quarry:[10.0.0.7]:25";
    assert!(checks.lines().any(|line| line == rule), "{checks}");
    assert!(!checks.contains('*') || !checks.contains(".*"), "{checks}");
    assert!(!checks.contains("$1"), "{checks}");
}

#[test]
fn a_certificate_is_checked_against_the_host_unless_switched_off() {
    let relay = |line: &str| {
        let text = format!(
            "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[relay.r]\nhost = \"h.test\"\n{line}"
        );
        setup(&text).master_cf()
    };
    let checked = relay("port = 587");
    for option in [
        "smtp_tls_security_level=secure",
        "smtp_tls_secure_cert_match=h.test",
        "smtp_tls_CApath=/etc/ssl/certs",
        "smtp_tls_wrappermode=no",
    ] {
        assert!(checked.contains(option), "{option}\n{checked}");
    }
    let unchecked = relay("verify-certificate = false\nport = 465");
    assert!(
        unchecked.contains("smtp_tls_security_level=encrypt"),
        "{unchecked}"
    );
    assert!(
        unchecked.contains("smtp_tls_wrappermode=yes"),
        "{unchecked}"
    );
    assert!(!unchecked.contains("secure_cert_match"), "{unchecked}");
    assert!(relay("security = \"none\"").contains("smtp_tls_security_level=none"));
}

#[test]
fn a_transport_inherits_no_login_and_no_fallback() {
    let master = setup(WHOLE).master_cf();
    let quarry = master.split("waxseal-quarry unix").nth(1).expect("quarry");
    let quarry = quarry.split("\n\n").next().expect("its entry");
    assert!(quarry.contains("-o smtp_sasl_auth_enable=no\n"), "{quarry}");
    assert!(quarry.contains("-o smtp_fallback_relay=\n"), "{quarry}");
}

#[test]
fn without_relays_and_split_there_is_nothing_to_route() {
    let setup = setup(
        "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[[listener]]\nname = \"mx\"\naddress = \"inet:127.0.0.1:8891\"",
    );
    let main = setup.main_cf();
    assert!(
        main.contains("smtpd_milters = inet:127.0.0.1:8891\n"),
        "{main}"
    );
    assert!(
        main.contains("milter_default_action = tempfail\n"),
        "{main}"
    );
    assert!(!main.contains("milter_header_checks"), "{main}");
    assert!(setup.services.is_empty());
}

#[test]
fn where_only_submission_listens_other_mail_meets_no_milter() {
    let setup = setup(
        "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[[listener]]\nname = \"users\"\nmode = \"submission\"\naddress = \"inet:127.0.0.1:8891\"",
    );
    assert!(
        !setup
            .main
            .iter()
            .any(|setting| setting.name == "smtpd_milters")
    );
    assert!(
        setup
            .main
            .iter()
            .any(|setting| setting.name == "non_smtpd_milters")
    );
    assert!(
        setup
            .master_cf()
            .contains("#   -o smtpd_milters=inet:127.0.0.1:8891\n")
    );
}

#[test]
fn notes_report_settings_that_do_not_work() {
    let setup = setup(
        "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n\
         [[listener]]\nname = \"mx\"\naddress = \"unix:/run/waxseal/milter.sock\"\n\
         [[listener]]\nname = \"back\"\nmode = \"split\"\naddress = \"inet:127.0.0.1:8892\"\nsmtpd = \"127.0.0.1:25\"\n\
         [relay.a]\nhost = \"192.0.2.1\"\n\
         [relay.b]\nhost = \"b.test\"\nsecurity = \"none\"\nuser = \"u\"\npassword-file = \"p\"\n",
    );
    for note in ["chroot", "mail loop", "host name", "unencrypted"] {
        assert!(
            setup.notes.iter().any(|it| it.contains(note)),
            "{note}: {:?}",
            setup.notes
        );
    }
}

#[test]
fn passwords_are_written_for_root_alone_and_shown_nowhere() {
    let folder = tempfile::tempdir().expect("folder");
    keep_secret(&folder.path().join("secret"), "p ss:wörd\nsecond line\n");
    let text = "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[relay.b]\nhost = \"b.test\"\nuser = \"u\"\npassword-file = \"secret\"\n";
    let config = read_text(&folder.path().join("waxseal.toml"), text).expect("config");
    let setup = Setup::of(
        &config,
        &folder.path().join("postfix"),
        Path::new(QUEUE_DIRECTORY),
    );
    let written = setup.write().expect("written");
    assert_eq!(written.len(), 4, "{written:?}");
    let map = folder.path().join("postfix/b.password");
    assert_eq!(
        fs::read_to_string(&map).expect("map"),
        "[b.test]:587 u:p ss:wörd\n"
    );
    assert_eq!(
        fs::metadata(&map).expect("map").permissions().mode() & 0o777,
        0o600
    );
    let json = serde_json::to_string(&setup).expect("JSON");
    for shown in [setup.page(), json, format!("{setup:?}")] {
        assert!(!shown.contains("wörd"), "{shown}");
    }
    setup.write().expect("written again, over the old files");
}

#[test]
fn without_its_password_nothing_is_written() {
    let folder = tempfile::tempdir().expect("folder");
    let text = "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[relay.b]\nhost = \"b.test\"\nuser = \"u\"\npassword-file = \"secret\"\n";
    let config = read_text(&folder.path().join("waxseal.toml"), text).expect("config");
    let setup = Setup::of(
        &config,
        &folder.path().join("postfix"),
        Path::new(QUEUE_DIRECTORY),
    );
    assert!(matches!(setup.write(), Err(WriteError::Password { .. })));
    let secret = folder.path().join("secret");
    fs::write(&secret, "p\n").expect("password");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("mode");
    let told = setup.write().expect_err("others may read it").to_string();
    assert!(
        told.contains("relay \"b\"") && told.contains("chmod"),
        "{told}"
    );
    keep_secret(&folder.path().join("secret"), "\n");
    assert!(matches!(setup.write(), Err(WriteError::NoPassword { .. })));
    assert!(!folder.path().join("postfix").exists());
}

#[test]
fn m2_sockets_in_the_queue_folder_are_named_as_services_in_the_chroot_see_them() {
    let text = |path: &str| {
        format!(
            "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n[[listener]]\nname = \"mx\"\naddress = \"unix:{path}\"\n"
        )
    };
    let of = |path: &str, queue: &str| {
        let folder = Path::new("/etc/postfix/waxseal");
        let setup = Setup::of(&config(&text(path)), folder, Path::new(queue));
        let milters = setup.main.iter().find(|it| it.name == "smtpd_milters");
        let milters = milters.map(|it| it.value.clone()).unwrap_or_default();
        (milters, setup.notes.len())
    };
    let usual = "/var/spool/postfix/waxseal/mx.sock";
    let within = ("unix:waxseal/mx.sock".to_owned(), 0);
    assert_eq!(of(usual, QUEUE_DIRECTORY), within);
    let second = "/var/spool/postfix-out/waxseal/mx.sock";
    assert_eq!(of(second, "/var/spool/postfix-out"), within);
    assert_eq!(of(second, QUEUE_DIRECTORY), (format!("unix:{second}"), 1));
}
