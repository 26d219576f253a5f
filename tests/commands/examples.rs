//! The examples are correct.

use std::fs;
use std::process::Command;

use waxseal_testkit::waxseal::{binary, repository};

/// The folder in the paths of the examples.
const FOLDER: &str = "/etc/postfix";

fn run(arguments: &[&str]) -> String {
    let output = Command::new(binary())
        .args(arguments)
        .arg("--config")
        .arg(repository("examples/acme/waxseal.toml"))
        .output()
        .expect("waxseal");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "waxseal {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_acme_configuration_has_no_mistake() {
    run(&["check"]);
}

#[test]
fn the_postfix_files_are_those_that_the_command_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    for name in ["main.cf", "master.cf"] {
        fs::write(folder.path().join(name), "").expect(name);
    }
    run(&["postfix", "--write", "--postfix-directory", &path]);
    for name in ["main.cf", "master.cf", "waxseal/milter_header_checks"] {
        let written = fs::read_to_string(folder.path().join(name))
            .expect(name)
            .replace(&path, FOLDER);
        let example = repository("examples/postfix").join(name);
        if std::env::var_os("WAXSEAL_BLESS").is_some() {
            fs::write(&example, &written).expect("the example");
        }
        let example = fs::read_to_string(&example).expect("the example");
        assert_eq!(
            example, written,
            "examples/postfix/{name} (WAXSEAL_BLESS=1 updates it)"
        );
    }
}

/// One run of `check` reports the mistakes of both files.
#[test]
fn mistakes_in_the_configuration_do_not_hide_those_in_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxseal.toml");
    let policy = waxseal_testkit::waxseal::policy("waxseal_standard");
    let config = format!(
        "hostname = \"mx.test\"\n[policy]\nfile = \"{}\"\nsettings = \"settings.toml\"\n\
         [relay.north]\nhost = \"north.test\"\nport = 99999\n",
        policy.display()
    );
    fs::write(&path, config).expect("waxseal.toml");
    let settings = "[domain.\"acme.test\"]\nrelays = [\"north\"]\nsing = true\n";
    fs::write(folder.path().join("settings.toml"), settings).expect("settings.toml");
    let output = Command::new(binary())
        .args(["check", "--json", "--config"])
        .arg(&path)
        .output()
        .expect("waxseal");
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // The port, and the unknown key. The relay exists, although it is invalid.
    let places: Vec<_> = problems(&report)
        .map(|it| (file_name(it), line(it)))
        .collect();
    assert_eq!(
        places,
        [("waxseal.toml", 7), ("settings.toml", 3)],
        "{report}"
    );
}

fn checked(folder: &std::path::Path, outgoing: &str, address: &str) -> serde_json::Value {
    let policy = waxseal_testkit::waxseal::policy("waxseal_standard");
    let config = format!(
        "hostname = \"mx.test\"\n[policy]\nfile = \"{}\"\n[outgoing]\nnetworks = [\"{outgoing}\"]\n\
         [[listener]]\nname = \"mx\"\naddress = \"{address}\"\n",
        policy.display()
    );
    fs::write(folder.join("waxseal.toml"), config).expect("waxseal.toml");
    let output = Command::new(binary())
        .args(["check", "--json", "--config"])
        .arg(folder.join("waxseal.toml"))
        .arg("--postfix")
        .arg(folder)
        .output()
        .expect("waxseal");
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn problems(report: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    report["problems"].as_array().into_iter().flatten()
}

fn file_name(problem: &serde_json::Value) -> &str {
    let path = problem["file"].as_str().unwrap_or_default();
    path.rsplit('/').next().unwrap_or(path)
}

fn line(problem: &serde_json::Value) -> u64 {
    problem["line"].as_u64().unwrap_or(0)
}

/// Severity and line of the problems whose message has this text.
fn about(checked: &serde_json::Value, text: &str) -> Vec<(String, u64)> {
    let problems = checked["problems"].as_array().into_iter().flatten();
    problems
        .filter(|problem| {
            problem["message"]
                .as_str()
                .is_some_and(|it| it.contains(text))
        })
        .map(|problem| {
            let severity = problem["severity"].as_str().unwrap_or_default();
            (severity.to_owned(), problem["line"].as_u64().unwrap_or(0))
        })
        .collect()
}

#[test]
fn m2_check_reports_milters_within_reach_of_others_and_mail_that_a_filter_re_injects() {
    let folder = tempfile::tempdir().expect("a folder");
    let filtered = "smtp inet n - y - - smtpd\n  -o content_filter=scan:[127.0.0.1]:10024\n\
        127.0.0.1:10026 inet n - n - - smtpd\n  -o content_filter=\n";
    let network = "any process of any machine";
    let local = "any process of any user of this machine";
    let filter = "mail of strangers that a content filter re-injects";

    let found = checked(folder.path(), "127.0.0.0/8", "inet:0.0.0.0:8891");
    assert_eq!(
        about(&found, network),
        [("warning".to_owned(), 8)],
        "{found}"
    );
    assert_eq!(about(&found, filter), [("advice".to_owned(), 5)], "{found}");

    fs::write(folder.path().join("master.cf"), filtered).expect("master.cf");
    let found = checked(folder.path(), "127.0.0.0/8", "inet:127.0.0.1:8891");
    assert_eq!(about(&found, local), [("advice".to_owned(), 8)], "{found}");
    assert_eq!(
        about(&found, filter),
        [("warning".to_owned(), 5)],
        "{found}"
    );

    let without = format!("{filtered}  -o receive_override_options=no_milters\n");
    fs::write(folder.path().join("master.cf"), without).expect("master.cf");
    let found = checked(folder.path(), "192.0.2.0/24", "unix:mx.sock");
    for text in [network, local, filter] {
        assert!(about(&found, text).is_empty(), "{found}");
    }
    assert_eq!(found["good"], true, "{found}");
}

#[test]
fn m2_the_example_has_no_milter_within_reach_of_others() {
    let shown: serde_json::Value = serde_json::from_str(&run(&["check", "--json"])).expect("JSON");
    for text in ["any process", "re-injects", "bounces and automatic replies"] {
        assert!(about(&shown, text).is_empty(), "{shown}");
    }
}
