//! R29: a component that was built once keeps loading and decides the same. For
//! each version of the contract there is one that was frozen with it, and uses
//! every item (`tests/policies/witness`, `scripts/freeze.sh`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use waxseal::decision::{Decision, Verdict};
use waxseal::message::{Address, Client, Content, Message, ReversePath};
use waxseal::runtime::{
    CONTRACT_VERSIONS, LoadError, LogLevel, Policy, PolicyError, ReferenceKind, StaticFacts,
};

use crate::given::{SEED, sandbox};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn fixture(version: &str) -> Arc<[u8]> {
    let path = repository(&format!(
        "host/runtime/tests/fixtures/witness-{version}.wasm"
    ));
    fs::read(path).expect("a frozen component").into()
}

async fn witness(version: &str, settings: &str) -> Result<Policy, LoadError> {
    let load = sandbox().load(fixture(version), settings.into(), &SEED);
    load.await
}

fn message(subject: &str) -> Arc<Message> {
    let content = format!(
        "From: Alice <alice@acme.test>\r\nX-Twice: a\r\nSubject: {subject}\r\nX-Twice: b\r\n\
         Precedence: bulk\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
         Content-Type: Text/CSV; name=a.csv\r\nContent-Disposition: attachment\r\n\r\n\
         1,2\r\n--b--\r\n"
    );
    let address = |text: &str| Address::parse(text).expect("an address");
    let client = Client::default()
        .with_address("192.0.2.1".parse().ok())
        .with_name("client.test".to_owned())
        .with_helo("helo.test".to_owned())
        .with_user("alice".to_owned())
        .with_tls("TLSv1.3".to_owned());
    let arrival = "2026-03-02T00:30:15Z".parse().expect("an instant");
    let message = Message::builder(Content::new(content.into_bytes()), arrival)
        .queue_id("4ABC")
        .listener("mx")
        .client(client)
        .sender(ReversePath::Address(address("alice@acme.test")))
        .recipient(address("bob@outside.test"), false)
        .recipient(address("c@acme.test"), true);
    Arc::new(message.build())
}

fn facts() -> Arc<StaticFacts> {
    let tokyo = TimeZone::fixed(jiff::tz::offset(9));
    let arrival = message("").arrival.to_zoned(tokyo);
    let mut facts = StaticFacts::at(arrival);
    let place = ("table".to_owned(), "key".to_owned());
    facts.lookups.insert(place, "value".to_owned());
    facts.usable_relays.insert("relay".to_owned());
    facts.sent.insert("relay".to_owned(), 7);
    facts.authenticated_domains.insert("acme.test".to_owned());
    Arc::new(facts)
}

async fn decided(policy: &Policy, subject: &str) -> Decision {
    let decided = policy.decide(message(subject), facts(), SEED).await;
    decided
        .decision
        .unwrap_or_else(|error| panic!("{subject}: {error}"))
}

#[test]
fn r29_each_frozen_version_is_served() {
    let frozen = fs::read_dir(repository("wit/frozen")).expect("a folder");
    let mut names: Vec<String> = frozen
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, CONTRACT_VERSIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_component_of_each_frozen_version_is_loaded() {
    for version in CONTRACT_VERSIONS {
        let policy = witness(version, "settings").await.expect(version);
        let description = policy.description();
        assert_eq!(
            (&*description.name, &*description.version),
            ("witness", "1.2.3")
        );
        assert_eq!(description.settings_schema.as_deref(), Some("{}"));
        assert!(policy.is_preinitialized());
        let configured = policy.configured();
        let kinds: Vec<_> = configured.references.iter().map(|at| at.kind).collect();
        let all = [
            ReferenceKind::Relay,
            ReferenceKind::DkimDomain,
            ReferenceKind::Table,
            ReferenceKind::Counter,
        ];
        assert_eq!(kinds, all);
        assert_eq!(configured.references[0].span, 1..2);
        assert_eq!(configured.warnings[0].message, "a warning");

        let refused = witness(version, "bad").await.expect_err("a rejection");
        let LoadError::Settings(problems) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((problems.len(), problems[0].span.clone()), (2, 0..3));
        assert_eq!(problems[0].expected.as_deref(), Some("something good"));
    }
}

/// What the component saw of the message and the facts, and everything that it
/// decided, as it was when the version was frozen.
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_component_of_each_frozen_version_decides_as_it_did() {
    for version in CONTRACT_VERSIONS {
        let policy = witness(version, "settings").await.expect(version);
        let decision = decided(&policy, "accept").await;
        let actual = serde_json::to_string_pretty(&decision).expect("JSON") + "\n";
        let golden = repository(&format!(
            "host/runtime/tests/fixtures/witness-{version}.json"
        ));
        if std::env::var_os("WAXSEAL_BLESS").is_some() && !golden.exists() {
            fs::write(&golden, &actual).expect("the golden file");
        }
        let expected = fs::read_to_string(golden).expect("a golden file");
        assert_eq!(actual, expected, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_each_verdict_of_each_frozen_version_is_understood() {
    for version in CONTRACT_VERSIONS {
        let policy = witness(version, "").await.expect(version);
        let verdict = async |subject| decided(&policy, subject).await.verdict;
        let Verdict::Reject(reply) = verdict("reject").await else {
            panic!("no rejection");
        };
        assert_eq!(
            (reply.code, &*reply.enhanced, &*reply.text),
            (550, "5.7.1", "no")
        );
        let Verdict::Defer(reply) = verdict("defer").await else {
            panic!("no deferral");
        };
        assert_eq!(
            (reply.code, &*reply.enhanced, &*reply.text),
            (450, "4.7.1", "later")
        );
        assert_eq!(verdict("discard").await, Verdict::Discard);
        assert_eq!(verdict("hold").await, Verdict::Hold("wait".to_owned()));

        let failed = policy.decide(message("other"), facts(), SEED).await;
        let text = "the subject names no verdict".to_owned();
        assert_eq!(failed.decision, Err(PolicyError::Reported(text)));
        let levels: Vec<_> = failed.log.iter().map(|line| line.level).collect();
        let all = [
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
        ];
        assert_eq!(levels, all);
    }
}

/// One item of a WIT text: the interfaces and types round it, and its own words.
type Item = (Vec<String>, String);

/// The items of a WIT text in order, without comments and white space.
fn items(text: &str) -> Vec<Item> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect();
    let mut items = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut words = String::new();
    // Inside of parentheses and angle brackets a comma separates nothing of ours.
    let mut depth = 0_i32;
    for character in code.join(" ").chars() {
        match character {
            '(' | '<' => depth += 1,
            ')' => depth -= 1,
            '>' if !words.ends_with('-') => depth -= 1,
            _ => {}
        }
        let ends = matches!(character, ';' | '{' | '}') || (character == ',' && depth == 0);
        if !ends {
            words.push(character);
            continue;
        }
        let item = words.split_whitespace().collect::<Vec<_>>().join(" ");
        words.clear();
        if !item.is_empty() {
            items.push((path.clone(), item.clone()));
        }
        match character {
            '{' => path.push(item),
            '}' => {
                path.pop();
            }
            _ => {}
        }
    }
    items
}

/// What makes `now` another contract than `frozen`; nothing if all it has more
/// are functions of what a policy imports.
fn breaks(frozen: &str, now: &str) -> Option<String> {
    let frozen = items(frozen);
    let added_function = |(path, item): &Item| {
        let imported = ["interface mail", "interface facts", "interface log"];
        let inside = path
            .first()
            .is_some_and(|first| imported.contains(&&**first));
        inside && item.contains(": func(")
    };
    let now: Vec<Item> = items(now)
        .into_iter()
        .filter(|item| frozen.contains(item) || !added_function(item))
        .collect();
    let differs = (0..frozen.len().max(now.len())).find(|&at| frozen.get(at) != now.get(at))?;
    Some(format!(
        "{:?} became {:?}",
        frozen.get(differs),
        now.get(differs)
    ))
}

const TODAY: &str = include_str!("../../../../wit/policy.wit");

/// Any other change of a frozen contract is a new version:
/// `docs/wit-versions.md`.
#[test]
fn r29_a_frozen_contract_grows_by_functions_that_policies_import_and_not_otherwise() {
    let version = CONTRACT_VERSIONS.last().expect("one");
    let frozen = repository(&format!("wit/frozen/{version}/policy.wit"));
    let frozen = fs::read_to_string(frozen).expect("a frozen contract");
    assert_eq!(breaks(&frozen, TODAY), None);
}

/// The check above would see what breaks old components.
#[test]
fn r29_what_breaks_a_frozen_contract_is_noticed() {
    let with = |old: &str, new: &str| {
        assert!(TODAY.contains(old), "{old}");
        TODAY.replacen(old, new, 1)
    };
    let size = "    size: func() -> u64;";
    let function = with(
        size,
        "    size: func() -> u64;\n    spam: func(a: u32, b: u32) -> bool;",
    );
    assert_eq!(breaks(TODAY, &function), None);
    let comment = with("/// Bytes of the message as received", "/// Other words");
    assert_eq!(breaks(TODAY, &comment), None);
    for (old, new) in [
        (size, "    size: func() -> u32;"),
        (size, ""),
        ("    code: u16,", "    code: u16,\n    more: u8,"),
        ("    discard,", "    discard,\n    quarantine,"),
        ("    recipient,\n", "    recipient,\n    kilobyte,\n"),
        ("  describe: func()", "  pause: func();\n  describe: func()"),
        ("  import log;", "  import log;\n  import clock;"),
        ("@0.1.0", "@0.1.1"),
    ] {
        assert!(breaks(TODAY, &with(old, new)).is_some(), "{new:?} passed");
    }
}
