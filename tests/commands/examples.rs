//! The examples do what they say.

use std::fs;
use std::process::Command;

use waxseal_tests::waxseal::{binary, repository};

/// The folder that the examples are written for.
const FOLDER: &str = "/etc/postfix/waxseal";

fn run(arguments: &[&str]) -> String {
    let output = Command::new(binary())
        .args(arguments)
        .arg("--config")
        .arg(repository("examples/acme/waxseal.toml"))
        .output()
        .expect("waxseal");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "waxseal {arguments:?}: {told}");
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
    run(&["postfix", "--write", &path]);
    for name in ["main.cf", "master.cf", "milter_header_checks"] {
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
            "examples/postfix/{name} (WAXSEAL_BLESS=1 writes it anew)"
        );
    }
}

/// One round of `check` tells the mistakes of both files.
#[test]
fn mistakes_in_the_configuration_do_not_hide_those_in_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxseal.toml");
    let policy = waxseal_tests::waxseal::policy("waxseal_standard");
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
    let told = String::from_utf8_lossy(&output.stdout);
    for mistake in ["port` is 99999", "sing` is not known here"] {
        assert!(told.contains(mistake), "no {mistake} in {told}");
    }
    // Nothing is said of what cannot be known: the relay is there, if broken.
    assert!(!told.contains("no relay"), "{told}");
}
