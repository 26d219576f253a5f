use std::path::Path;

use super::*;

const WHOLE: &str = r#"
hostname = "mail.acme.test"
time-zone = "Asia/Tokyo"
inside = ["Acme.test"]

[policy]
file = "standard.wasm"
settings = "settings.toml"
on-error = "reject"

[limits]
decision-time = "100ms"
memory = "32 MiB"

[outgoing]
networks = ["127.0.0.0/8", "192.0.2.7"]

[[listener]]
name = "mx"
address = "unix:run/milter.sock"

[[listener]]
name = "split"
mode = "split"
address = "inet:127.0.0.1:8892"
smtpd = "127.0.0.1:10025"

[relay.northwind]
host = "smtp.northwind.test"
port = 465
daily-maximum = 1000
user = "acme"
password-file = "northwind.password"
"#;

fn problems(text: &str) -> Vec<String> {
    match read_text(Path::new("etc/waxseal.toml"), text) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_whole_file_is_read() {
    let config = read_text(Path::new("etc/waxseal.toml"), WHOLE).expect("config");
    assert_eq!(config.policy.file, Path::new("etc/standard.wasm"));
    assert_eq!(config.policy.on_error, OnError::Reject);
    assert_eq!(config.limits.decision_time.as_millis(), 100);
    assert_eq!(config.limits.memory, 32 << 20);
    assert_eq!(
        config.listeners[0].address,
        ListenAddress::Unix("etc/run/milter.sock".into())
    );
    assert_eq!(config.listeners[0].mode, Mode::Mixed);
    let relay = config.relay("northwind").expect("relay");
    assert_eq!(
        (relay.security, relay.daily_maximum),
        (Security::Tls, Some(1000))
    );
    assert!(config.is_inside(&"bob@ACME.test".parse().expect("address")));
    assert!(config.is_inside(&"root".parse().expect("address")));
    assert!(!config.is_inside(&"bob@sub.acme.test".parse().expect("address")));
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = "hostname = \"a b\"\ntime-zone = \"Mars/Base\"\n[policy]\nfil = \"x\"\n\
        [[listener]]\nname = \"x\"\naddress = \"8891\"\nmode = \"splitt\"\n\
        [relay.A]\nhost = \"h:25\"\nuser = \"u\"\n[limits]\nmemory = \"much\"\n\
        [outgoing]\nnetworks = \"10.0.0.0/40\"\n";
    let told = problems(text);
    for place in [
        ":1:12: `hostname` is \"a b\"",
        ":2:13: ",
        ":3:1: `policy.file` is missing",
        ":4:1: `policy.fil` is not known here; expected: perhaps `file` is meant",
        ":7:11: `address` is \"8891\"",
        ":8:8: `listener.mode` is \"splitt\"; expected: \"mixed\", \"submission\", \"split\"",
        ":9:8: a relay's name",
        ":10:8: `host` is \"h:25\"",
        ": `relay.A.password-file` is missing",
        ":13:10: `limits.memory` is \"much\"",
        ":15:12: `outgoing.networks` is \"10.0.0.0/40\"",
    ] {
        assert!(
            told.iter().any(|line| line.contains(place)),
            "{place}\nnot in\n{}",
            told.join("\n")
        );
    }
    assert_eq!(told.len(), 11, "{}", told.join("\n"));
}

#[test]
fn problems_are_shown_with_their_line() {
    let Err(ConfigError::Problems(problems)) = read_text(Path::new("w.toml"), "hostname = 3\n")
    else {
        panic!("read");
    };
    let shown = render(&problems, false);
    assert!(shown.contains("w.toml:1:12"), "{shown}");
    assert!(shown.contains("hostname = 3"), "{shown}");
    assert!(shown.contains("a text in quotes"), "{shown}");
}

#[test]
fn the_reference_shows_what_can_be_read() {
    let page = include_str!("../../../docs/configuration.md");
    let start = page.find("```toml\n").expect("block") + "```toml\n".len();
    let length = page[start..].find("```").expect("end of the block");
    let config = read_text(Path::new("waxseal.toml"), &page[start..start + length]);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (
            config.listeners.len(),
            config.relays.len(),
            config.tables.len()
        ),
        (2, 1, 1)
    );
}
