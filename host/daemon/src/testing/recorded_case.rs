//! A test file made from a recorded message: its envelope and facts, and the
//! recorded decision as the expectation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;
use thiserror::Error;
use toml::value::{Array, Datetime};

use waxseal::comparison::RecordedResult;
use waxseal::quota;
use waxseal::record::Entry;
use waxseal_core::decision::{Decision, Verdict};

/// Failure to write a recorded message as a test case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordedCaseError {
    /// TOML cannot express the arrival time.
    #[error("the arrival {arrival} of {queue_id} is not a date of TOML: {error}")]
    Arrival {
        /// The queue id.
        queue_id: String,
        /// The arrival.
        arrival: String,
        /// The parse error.
        error: toml::value::DatetimeParseError,
    },
    /// The test file cannot be serialized.
    #[error("cannot write {queue_id} as a test case: {error}")]
    Serialize {
        /// The queue id.
        queue_id: String,
        /// The error.
        error: toml::ser::Error,
    },
}

#[derive(Serialize)]
struct TestFile<'a> {
    config: String,
    case: [Case<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Case<'a> {
    name: &'a str,
    message: &'a str,
    arrival: Datetime,
    listener: &'a str,
    sender: &'a str,
    recipients: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    helo: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    relays: BTreeMap<&'a str, &'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    used: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    domains: BTreeMap<&'a str, bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<&'a str, BTreeMap<&'a str, Lookup<'a>>>,
    expect: Expectation<'a>,
}

/// The value of a key in a table; `false` for a key that it does not have.
#[derive(Serialize)]
#[serde(untagged)]
enum Lookup<'a> {
    Found(&'a str),
    NotFound(bool),
}

#[derive(Default, Serialize)]
struct Expectation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<&'a str>,
    #[serde(skip_serializing_if = "Array::is_empty")]
    reasons: Array,
}

/// Writes a recorded message as a test file with one case, which expects the
/// recorded decision. `message` is the name of the message file in the same
/// folder, `config` the configuration that the case is decided with.
///
/// # Errors
///
/// If the entry cannot be expressed in TOML.
pub fn recorded_case(
    entry: &Entry,
    message: &str,
    config: &Path,
) -> Result<String, RecordedCaseError> {
    let file = TestFile {
        config: config.display().to_string(),
        case: [case(entry, message)?],
    };
    let text = toml::to_string(&file).map_err(|error| RecordedCaseError::Serialize {
        queue_id: entry.queue_id.clone(),
        error,
    })?;
    Ok(format!(
        "# {}, recorded on {}.\n# Decided by {} {}.\n{text}",
        one_line(&entry.queue_id),
        entry.arrival,
        one_line(&entry.policy.name),
        one_line(&entry.policy.version),
    ))
}

fn case<'a>(entry: &'a Entry, message: &'a str) -> Result<Case<'a>, RecordedCaseError> {
    let arrival = entry.arrival.to_string();
    let arrival = arrival
        .parse()
        .map_err(|error| RecordedCaseError::Arrival {
            queue_id: entry.queue_id.clone(),
            arrival,
            error,
        })?;
    let client = &entry.client;
    let user = match &client.user {
        // A local program. Without the key, the author would be the user.
        None if client.address.is_none() => Some(""),
        user => user.as_deref(),
    };
    let facts = &entry.facts;
    Ok(Case {
        name: &entry.queue_id,
        message,
        arrival,
        listener: &entry.listener,
        sender: &entry.sender,
        recipients: entry
            .recipients
            .iter()
            .map(|recipient| recipient.address.as_str())
            .collect(),
        client_ip: client.address,
        client_name: client.name.as_deref(),
        helo: client.helo.as_deref(),
        user,
        tls: client.tls.as_deref(),
        relays: facts
            .relays_usable
            .iter()
            .map(|(name, &usable)| (name.as_str(), if usable { "on" } else { "off" }))
            .collect(),
        used: facts
            .relays_sent
            .iter()
            .map(|(name, &sent)| (quota::relay_counter(name), sent))
            .collect(),
        domains: facts
            .domains_authenticated
            .iter()
            .map(|(name, &known)| (name.as_str(), known))
            .collect(),
        tables: facts
            .lookups
            .iter()
            .filter(|(_, lookups)| !lookups.is_empty())
            .map(|(table, lookups)| {
                let lookups = lookups.iter();
                let lookups = lookups.map(|(key, value)| {
                    let value = value.as_deref();
                    (
                        key.as_str(),
                        value.map_or(Lookup::NotFound(false), Lookup::Found),
                    )
                });
                (table.as_str(), lookups.collect())
            })
            .collect(),
        expect: expectation(entry),
    })
}

fn expectation(entry: &Entry) -> Expectation<'_> {
    let decision = match &entry.result {
        RecordedResult::Decision(decision) => decision,
        RecordedResult::Error { text, .. } => {
            return Expectation {
                failure: Some(pattern(text)),
                ..Expectation::default()
            };
        }
    };
    let (verdict, reply) = match &decision.verdict {
        Verdict::Accept => ("accept", None),
        Verdict::Discard => ("discard", None),
        Verdict::Hold(_) => ("hold", None),
        Verdict::Reject(reply) => ("reject", Some(reply)),
        Verdict::Defer(reply) => ("defer", Some(reply)),
    };
    // Waxseal adds reasons of its own.
    let reasons = decision.reasons.iter().map(|reason| pattern(reason));
    let reasons = reasons.chain(["*".to_owned()]);
    Expectation {
        failure: None,
        verdict: Some(verdict),
        reply: reply
            .map(|reply| pattern(&format!("{} {} {}", reply.code, reply.enhanced, reply.text))),
        relay: relay(entry, decision).filter(|_| verdict == "accept"),
        reasons: reasons.map(toml::Value::from).collect(),
    }
}

/// The first relay of the decision, or the default route; `None` if recipients
/// or relay states make it uncertain which route is taken.
fn relay<'a>(entry: &Entry, decision: &'a Decision) -> Option<&'a str> {
    if entry.recipients.iter().any(|recipient| recipient.local) {
        return None;
    }
    let Some(first) = decision.route.first() else {
        return Some(quota::DEFAULT_ROUTE);
    };
    let usable = entry.facts.relays_usable.get(&first.relay);
    (usable != Some(&false)).then_some(first.relay.as_str())
}

/// Escapes a text so that as a pattern it matches only itself.
fn pattern(text: &str) -> String {
    text.replace('*', "\\*")
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::tz::TimeZone;
    use jiff::{Timestamp, Zoned};

    use super::*;
    use crate::testing::Suite;
    use waxseal::pipeline::{InputDigests, PolicyId};
    use waxseal::record::{Client, Cost, FORMAT, StoredMessage};
    use waxseal_runtime::FactTrace;

    fn entry(queue_id: &str) -> Entry {
        let arrival = Timestamp::from_second(1_790_000_000).expect("an instant");
        Entry {
            format: FORMAT,
            queue_id: queue_id.to_owned(),
            arrival,
            listener: "mx".to_owned(),
            client: Client::default(),
            sender: "ann@acme.test".to_owned(),
            recipients: Vec::new(),
            message: StoredMessage {
                sha256: "00".to_owned(),
                size: 1,
                stored: true,
            },
            facts: FactTrace::at(Zoned::new(arrival, TimeZone::UTC)),
            seed: "00".repeat(32),
            policy: PolicyId {
                name: "acme\n[case]".to_owned(),
                version: "1".to_owned(),
                digest: "00".to_owned(),
            },
            inputs: InputDigests {
                component: "00".to_owned(),
                settings: None,
                tables: BTreeMap::new(),
            },
            result: RecordedResult::Decision(Box::new(Decision {
                reasons: vec!["a \"quoted\" \\ text * with \u{7f}\0".to_owned()],
                ..Decision::default()
            })),
            cost: Cost {
                microseconds: 1,
                instructions: 1,
                memory: 1,
            },
        }
    }

    #[test]
    fn the_test_file_is_readable() {
        let mut entry = entry("4A1");
        let facts = &mut entry.facts;
        facts.relays_usable.insert("north".to_owned(), true);
        facts.relays_sent.insert("north".to_owned(), 7);
        facts.lookups.insert(
            "vip list".to_owned(),
            BTreeMap::from([
                ("a".to_owned(), Some("b".to_owned())),
                ("c".to_owned(), None),
            ]),
        );
        let text = recorded_case(&entry, "4A1.eml", Path::new("/w.toml")).expect("a test file");
        assert_eq!(
            text,
            "# 4A1, recorded on 2026-09-21T14:13:20Z.\n\
             # Decided by acme [case] 1.\n\
             config = \"/w.toml\"\n\
             \n\
             [[case]]\n\
             name = \"4A1\"\n\
             message = \"4A1.eml\"\n\
             arrival = 2026-09-21T14:13:20Z\n\
             listener = \"mx\"\n\
             sender = \"ann@acme.test\"\n\
             recipients = []\n\
             user = \"\"\n\
             \n\
             [case.relays]\n\
             north = \"on\"\n\
             \n\
             [case.used]\n\
             \"relay/north\" = 7\n\
             \n\
             [case.tables.\"vip list\"]\n\
             a = \"b\"\n\
             c = false\n\
             \n\
             [case.expect]\n\
             verdict = \"accept\"\n\
             relay = \"default-route\"\n\
             reasons = [\"a \\\"quoted\\\" \\\\ text \\\\* with \\u007F\\u0000\", \"*\"]\n"
        );
    }

    #[test]
    fn l15_an_entry_is_a_test_case_whatever_its_queue_id_is() {
        let entry = entry("4A1\n[case]\u{7f}\0\"");
        let text = recorded_case(&entry, "a.eml", Path::new("waxseal.toml")).expect("a test file");
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("test.toml");
        fs::write(&path, &text).expect("a file");
        fs::write(folder.path().join("a.eml"), "A: b\r\n\r\n").expect("a file");
        let suite = Suite::read(&[path]).expect("a test file");
        assert_eq!(suite.len(), 1, "{text}");
    }
}
