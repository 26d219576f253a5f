use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::lines::milter_address;
use super::{FindingKind, Installation, QUEUE_DIRECTORY, Setup, WriteError};
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

/// The administrator has set nothing.
fn unset(_: &str) -> Option<String> {
    None
}

/// A Postfix with these files.
fn installation(folder: &Path, main: &str, master: &str) -> Installation {
    fs::write(folder.join("main.cf"), main).expect("main.cf");
    fs::write(folder.join("master.cf"), master).expect("master.cf");
    read(folder)
}

fn read(folder: &Path) -> Installation {
    Installation::read(folder).expect("an installation")
}

fn setup(text: &str) -> Setup {
    Setup::of(
        &config(text),
        Path::new("/etc/postfix/waxseal"),
        Path::new(QUEUE_DIRECTORY),
    )
}

/// Compares with a file next to this one. `WAXSEAL_BLESS=1` updates it.
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
        "{} (WAXSEAL_BLESS=1 updates it)",
        path.display()
    );
}

#[test]
fn the_whole_page_is_as_it_was_reviewed() {
    assert_golden("page.txt", &setup(WHOLE).page(unset));
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
    let main = setup.main_cf(unset);
    assert!(
        main.contains("smtpd_milters = { inet:127.0.0.1:8891, default_action=tempfail,"),
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
    let attachments = setup.attachments();
    assert!(
        attachments.contains("#   -o { smtpd_milters = { inet:127.0.0.1:8891, "),
        "{attachments}"
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

/// A relay with a login, whose password is in the file `secret` of the folder.
fn with_login(folder: &Path) -> Setup {
    let text = "hostname = \"a.test\"\n[policy]\nfile = \"p\"\n[relay.b]\nhost = \"b.test\"\nuser = \"u\"\npassword-file = \"secret\"\n";
    let config = read_text(&folder.join("waxseal.toml"), text).expect("config");
    let tables = Installation::tables_in(folder);
    Setup::of(&config, &tables, Path::new(QUEUE_DIRECTORY))
}

#[test]
fn passwords_are_written_for_root_alone_and_shown_nowhere() {
    let folder = tempfile::tempdir().expect("folder");
    keep_secret(&folder.path().join("secret"), "p ss:wörd\nsecond line\n");
    let setup = with_login(folder.path());
    let installation = installation(folder.path(), "", "");
    let written = setup.write(&installation).expect("written");
    assert_eq!(written.len(), 4, "{written:?}");
    let map = folder.path().join("waxseal/b.password");
    assert_eq!(
        fs::read_to_string(&map).expect("map"),
        "[b.test]:587 u:p ss:wörd\n"
    );
    assert_eq!(
        fs::metadata(&map).expect("map").permissions().mode() & 0o777,
        0o600
    );
    let json = serde_json::to_string(&setup).expect("JSON");
    for shown in [setup.page(unset), json, format!("{setup:?}")] {
        assert!(!shown.contains("wörd"), "{shown}");
    }
}

#[test]
fn without_its_password_nothing_is_written() {
    let folder = tempfile::tempdir().expect("folder");
    let setup = with_login(folder.path());
    let installation = installation(folder.path(), "", "");
    let write = || setup.write(&installation);
    assert!(matches!(write(), Err(WriteError::Password { .. })));
    let secret = folder.path().join("secret");
    fs::write(&secret, "p\n").expect("password");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("mode");
    let error = write().expect_err("others may read it").to_string();
    assert!(
        error.contains("relay \"b\"") && error.contains("chmod"),
        "{error}"
    );
    keep_secret(&folder.path().join("secret"), "\n");
    assert!(matches!(write(), Err(WriteError::NoPassword { .. })));
    assert!(!folder.path().join("waxseal").exists());
    assert_eq!(
        fs::read_to_string(folder.path().join("main.cf")).expect("main.cf"),
        ""
    );
}

const MAIN: &str = "myhostname = mx.test\nsmtpd_milters = inet:127.0.0.1:11332\n\
                    # tables\nmilter_header_checks =\n  pcre:/etc/postfix/checks\n";
const MASTER: &str = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  \
                      -o syslog_name=postfix/submission\n";

fn whole_in(folder: &Path) -> Setup {
    let whole = WHOLE.replace(
        "user = \"acme\"\npassword-file = \"/etc/waxseal/northwind.password\"\n",
        "",
    );
    let tables = Installation::tables_in(folder);
    Setup::of(&config(&whole), &tables, Path::new(QUEUE_DIRECTORY))
}

fn kinds(setup: &Setup, folder: &Path) -> Vec<FindingKind> {
    let findings = setup.check(&read(folder)).expect("findings");
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn r1_a_write_keeps_what_the_administrator_wrote_and_a_second_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let setup = whole_in(folder.path());
    let installed = installation(folder.path(), MAIN, MASTER);
    let main_file = folder.path().join("main.cf");
    fs::set_permissions(&main_file, fs::Permissions::from_mode(0o640)).expect("mode");
    let installed = Installation::read(&installed.folder).expect("an installation");
    assert!(
        setup
            .write(&installed)
            .expect("written")
            .iter()
            .all(|file| file.changed)
    );
    let main = fs::read_to_string(&main_file).expect("main.cf");
    let block = main.strip_prefix(MAIN).expect("the administrator's part");
    assert!(
        block.contains("\nsmtpd_milters = inet:127.0.0.1:11332, { unix:waxseal/milter.sock, "),
        "{block}"
    );
    let table = folder.path().join("waxseal/milter_header_checks");
    let tables = format!(
        "\nmilter_header_checks = regexp:{}, pcre:/etc/postfix/checks\n",
        table.display()
    );
    assert!(block.contains(&tables), "{block}");
    let mode = fs::metadata(&main_file)
        .expect("main.cf")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    let again = setup.write(&read(folder.path())).expect("written");
    assert!(again.iter().all(|file| !file.changed), "{again:?}");
    let removed = read(folder.path()).remove().expect("removed");
    assert_eq!(removed.len(), 3, "{removed:?}");
    for (name, before) in [("main.cf", MAIN), ("master.cf", MASTER)] {
        let after = fs::read_to_string(folder.path().join(name)).expect(name);
        assert_eq!(after, before);
    }
    assert!(!folder.path().join("waxseal").exists());
}

#[test]
fn r1_a_check_finds_what_is_missing_outdated_overridden_or_past_waxseal() {
    use FindingKind::{Bypassed, Duplicate, Missing, Outdated, Overridden, Unused};
    let folder = tempfile::tempdir().expect("folder");
    let setup = whole_in(folder.path());
    installation(folder.path(), MAIN, MASTER);
    // The table, both blocks, and nothing uses the listener for submission.
    assert_eq!(
        kinds(&setup, folder.path()),
        [Outdated, Missing, Missing, Unused]
    );
    let users = "  -o { smtpd_milters = { inet:127.0.0.1:8893, default_action=tempfail } }\n";
    let attached = format!("{MASTER}{users}");
    let installed = installation(folder.path(), MAIN, &attached);
    setup.write(&installed).expect("written");
    assert_eq!(kinds(&setup, folder.path()), []);

    let append = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let before = fs::read_to_string(&path).expect(name);
        fs::write(&path, before + text).expect(name);
    };
    append("main.cf", "myorigin = a.test\n");
    assert_eq!(kinds(&setup, folder.path()), []);
    append("main.cf", "smtpd_milters = inet:127.0.0.1:1\n");
    assert_eq!(kinds(&setup, folder.path()), [Outdated, Overridden]);
    setup.write(&read(folder.path())).expect("written");
    append(
        "master.cf",
        "2525 inet n - y - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:1\n",
    );
    append(
        "master.cf",
        "2526 inet n - y - - smtpd\n  -o smtpd_milters=\n",
    );
    let findings = setup.check(&read(folder.path())).expect("findings");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].kind, Bypassed);
    let lines = fs::read_to_string(folder.path().join("master.cf")).expect("master.cf");
    let line = lines
        .lines()
        .position(|line| line.starts_with("2525 "))
        .expect("the service")
        + 1;
    assert!(
        findings[0].place.ends_with(&format!("/master.cf:{line}")),
        "{findings:?}"
    );
    append("master.cf", "waxseal-quarry unix - - n - - smtp\n");
    let with_service = kinds(&setup, folder.path());
    assert_eq!(with_service, [Duplicate, Bypassed]);
    assert!(matches!(
        setup.write(&read(folder.path())),
        Err(WriteError::Installation(_))
    ));
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
        let milters = milters.map(|it| milter_address(&it.value).to_owned());
        (milters.unwrap_or_default(), setup.notes.len())
    };
    let usual = "/var/spool/postfix/waxseal/mx.sock";
    let within = ("unix:waxseal/mx.sock".to_owned(), 0);
    assert_eq!(of(usual, QUEUE_DIRECTORY), within);
    let second = "/var/spool/postfix-out/waxseal/mx.sock";
    assert_eq!(of(second, "/var/spool/postfix-out"), within);
    assert_eq!(of(second, QUEUE_DIRECTORY), (format!("unix:{second}"), 1));
}
