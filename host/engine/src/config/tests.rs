use std::path::Path;
use std::time::Duration;

use super::*;
use waxseal_core::message::Address;

const WHOLE: &str = r#"
hostname = "mail.acme.test"
time-zone = "Asia/Tokyo"
local-domains = ["Acme.test"]

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
fn a_complete_file_is_parsed() {
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
    let relay = &config.relays[0];
    assert_eq!(
        (relay.security, relay.daily_maximum),
        (Security::Tls, Some(1000))
    );
    assert!(config.is_local(&"bob@ACME.test".parse().expect("address")));
    assert!(config.is_local(&"root".parse().expect("address")));
    assert!(!config.is_local(&"bob@sub.acme.test".parse().expect("address")));
}

#[test]
fn all_problems_are_reported_with_their_lines() {
    let text = "hostname = \"a b\"\ntime-zone = \"Mars/Base\"\n[policy]\nfil = \"x\"\n\
        [[listener]]\nname = \"x\"\naddress = \"8891\"\nmode = \"splitt\"\n\
        [relay.A]\nhost = \"h:25\"\nuser = \"u\"\n[limits]\nmemory = \"much\"\n\
        [outgoing]\nnetworks = \"10.0.0.0/40\"\n";
    let reported = problems(text);
    for place in [
        ":1:12: `hostname` is \"a b\"",
        ":2:13: ",
        ":3:1: `policy.file` is missing",
        ":4:1: unknown key `policy.fil`; expected: `file`, the most similar key",
        ":7:11: `address` is \"8891\"",
        ":8:8: `listener.mode` is \"splitt\"; expected: \"mixed\", \"submission\", \"split\"",
        ":9:8: invalid relay name",
        ":10:8: `host` is \"h:25\"",
        ": `relay.A.password-file` is missing",
        ":13:10: `limits.memory` is \"much\"",
        ":15:12: `outgoing.networks` is \"10.0.0.0/40\"",
    ] {
        assert!(
            reported.iter().any(|line| line.contains(place)),
            "{place}\nnot in\n{}",
            reported.join("\n")
        );
    }
    assert_eq!(reported.len(), 11, "{}", reported.join("\n"));
}

#[test]
fn the_reference_shows_what_can_be_read() {
    let page = include_str!("../../../../docs/configuration.md");
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

/// A configuration with these lines in `[dkim]`.
fn dkim(lines: &str) -> String {
    format!("hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n[dkim]\n{lines}\n")
}

#[test]
fn l9_a_signature_expires_after_a_day_at_the_earliest() {
    let expire = |value: &str| {
        let config = read_text(Path::new("w.toml"), &dkim(&format!("expire = \"{value}\"")));
        config.ok().map(|config| config.dkim.expire)
    };
    let days = |days: u64| Some(Some(Duration::from_secs(days * 86_400)));
    assert_eq!(expire("7d"), days(7));
    assert_eq!(expire("2w"), days(14));
    assert_eq!(expire("24h"), days(1));
    assert_eq!(expire("3650 days"), days(3650));
    for wrong in ["23h 59m", "0s", "-7d", "3651d", "1mo", "1y", "week", ""] {
        assert_eq!(expire(wrong), None, "{wrong}");
    }
    let none = read_text(Path::new("w.toml"), &dkim("")).expect("a configuration");
    assert_eq!(none.dkim.expire, None);
}

#[test]
fn h3_unaligned_pairs_name_both_domains() {
    let lines = "allow-unaligned = [{ author = \"Bücher.test\", sign = \"mailer.test\" }, \
                 { author = \"*\", sign = \"m.test\" }]";
    let config = read_text(Path::new("w.toml"), &dkim(lines)).expect("a configuration");
    let pairs = config.dkim.allow_unaligned.iter();
    let pairs: Vec<_> = pairs
        .map(|pair| (pair.author.as_ref().map(Domain::as_str), pair.sign.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            (Some("xn--bcher-kva.test"), "mailer.test"),
            (None, "m.test")
        ]
    );
    for wrong in [
        "{ author = \"a.test\" }",
        "{ sign = \"a.test\" }",
        "{ author = \"a b\", sign = \"a.test\" }",
        "{ author = \"a.test\", sign = \"*\" }",
        "{ author = \"a.test\", sign = \"b.test\", more = 1 }",
        "\"a.test\"",
    ] {
        let text = dkim(&format!("allow-unaligned = [{wrong}]"));
        assert_eq!(problems(&text).len(), 1, "{wrong}: {:?}", problems(&text));
    }
}

#[test]
fn l12_local_domains_are_the_same_in_both_forms() {
    let text = "hostname = \"h.test\"\nlocal-domains = [\"bücher.test\", \"xn--mller-kva.test\"]\n\
                [policy]\nfile = \"p.wasm\"\n";
    let config = read_text(Path::new("w.toml"), text).expect("a configuration");
    let local = |text: &str| config.is_local(&Address::parse(text).expect("an address"));
    for address in [
        "x@bücher.test",
        "x@BÜCHER.test.",
        "x@xn--bcher-kva.test",
        "ü@müller.test",
        "x@XN--mller-kva.test",
    ] {
        assert!(local(address), "{address}");
    }
    for address in ["x@buecher.test", "x@sub.bücher.test", "x@[192.0.2.1]"] {
        assert!(!local(address), "{address}");
    }
}

#[test]
fn a_configuration_from_values_has_the_defaults_of_a_file() {
    let text = "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n\
                [relay.north]\nhost = \"north.test\"\n";
    let read = read_text(Path::new("etc/waxseal.toml"), text).expect("a configuration");
    let mut made = Config::new("h.test", "etc/state", "etc/p.wasm");
    let name = "north".parse().expect("a name");
    made.relays.push(Relay::new(name, "north.test", 587));
    // What differs: the text, and places in it.
    made.source = read.source.clone();
    made.policy.file_span = read.policy.file_span.clone();
    made.relays[0].span = read.relays[0].span.clone();
    assert_eq!(format!("{made:?}"), format!("{read:?}"));
}
