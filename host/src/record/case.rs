//! A recorded message as a policy test: what it was decided on, and what was
//! decided, as `waxseal test` reads it.

use std::fmt::Write as _;
use std::path::Path;

use super::entry::{Entry, RecordedResult};
use crate::decision::{Decision, Verdict};
use crate::quota;

impl Entry {
    /// A test file with this message as its one case. `message` is the name of
    /// the file beside it that has the message, `config` the configuration that
    /// it is decided with. It expects what was decided then.
    pub fn test_case(&self, message: &str, config: &Path) -> String {
        let mut text = String::new();
        let queue_id = &self.queue_id;
        line(
            &mut text,
            &format!("# {}, recorded on {}.", one_line(queue_id), self.arrival),
        );
        line(
            &mut text,
            &format!(
                "# Decided by {} {}.",
                one_line(&self.policy.name),
                one_line(&self.policy.version)
            ),
        );
        pair(&mut text, "config", &quoted(&config.display().to_string()));
        line(&mut text, "\n[[case]]");
        pair(&mut text, "name", &quoted(queue_id));
        pair(&mut text, "message", &quoted(message));
        self.envelope(&mut text);
        self.facts(&mut text);
        line(&mut text, "\n[case.expect]");
        match &self.ruling {
            RecordedResult::Decision(decision) => self.expect(&mut text, decision),
            RecordedResult::Error { text: error, .. } => {
                pair(&mut text, "failure", &quoted(&pattern(error)));
            }
        }
        text
    }

    fn envelope(&self, text: &mut String) {
        pair(text, "arrival", &self.arrival.to_string());
        pair(text, "listener", &quoted(&self.listener));
        pair(text, "sender", &quoted(&self.sender));
        let recipients = self.recipients.iter();
        let recipients: Vec<String> = recipients
            .map(|recipient| quoted(recipient.address.as_str()))
            .collect();
        pair(text, "recipients", &format!("[{}]", recipients.join(", ")));
        let client = &self.client;
        let address = client.address.map(|address| address.to_string());
        for (key, value) in [
            ("client-ip", &address),
            ("client-name", &client.name),
            ("helo", &client.helo),
            ("user", &client.user),
            ("tls", &client.tls),
        ] {
            if let Some(value) = value {
                pair(text, key, &quoted(value));
            }
        }
        if client.user.is_none() && client.address.is_none() {
            // A program on the host itself. Left out, it would be the author.
            pair(text, "user", "\"\"");
        }
    }

    fn facts(&self, text: &mut String) {
        let facts = &self.facts;
        let mut table = |name: &str, entries: Vec<(String, String)>| {
            if !entries.is_empty() {
                line(text, &format!("\n[case.{name}]"));
                for (key, value) in entries {
                    pair(text, &quoted(&key), &value);
                }
            }
        };
        let relays = facts.relays_usable.iter();
        table(
            "relays",
            relays
                .map(|(name, &on)| (name.clone(), quoted(if on { "on" } else { "off" })))
                .collect(),
        );
        let sent = facts.relays_sent.iter();
        table(
            "used",
            sent.map(|(name, sent)| (quota::relay_counter(name), sent.to_string()))
                .collect(),
        );
        let domains = facts.domains_authenticated.iter();
        table(
            "domains",
            domains
                .map(|(name, known)| (name.clone(), known.to_string()))
                .collect(),
        );
        for (name, entries) in &facts.lookups {
            let value = |value: &Option<String>| match value {
                Some(value) => quoted(value),
                None => "false".to_owned(),
            };
            let entries = entries.iter();
            table(
                &format!("tables.{}", quoted(name)),
                entries
                    .map(|(key, found)| (key.clone(), value(found)))
                    .collect(),
            );
        }
    }

    fn expect(&self, text: &mut String, decision: &Decision) {
        let (verdict, reply) = match &decision.verdict {
            Verdict::Accept => ("accept", None),
            Verdict::Discard => ("discard", None),
            Verdict::Hold(_) => ("hold", None),
            Verdict::Reject(reply) => ("reject", Some(reply)),
            Verdict::Defer(reply) => ("defer", Some(reply)),
        };
        pair(text, "verdict", &quoted(verdict));
        if let Some(reply) = reply {
            let reply = format!("{} {} {}", reply.code, reply.enhanced, reply.text);
            pair(text, "reply", &quoted(&pattern(&reply)));
        }
        if verdict == "accept"
            && let Some(relay) = self.relay(decision)
        {
            pair(text, "relay", &quoted(relay));
        }
        // The host adds reasons of its own.
        let reasons = decision.reasons.iter();
        let reasons = reasons.map(|reason| quoted(&pattern(reason)));
        let reasons: Vec<String> = reasons.chain([quoted("*")]).collect();
        pair(text, "reasons", &format!("[{}]", reasons.join(", ")));
    }

    /// The relay that the decision names first, or the default route, where the recipients and the
    /// relays leave no doubt that it is taken.
    fn relay<'a>(&self, decision: &'a Decision) -> Option<&'a str> {
        if self.recipients.iter().any(|recipient| recipient.local) {
            return None;
        }
        let Some(first) = decision.route.first() else {
            return Some(quota::DEFAULT_ROUTE);
        };
        let usable = self.facts.relays_usable.get(&first.relay);
        (usable != Some(&false)).then_some(first.relay.as_str())
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}

fn pair(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

/// A basic string of TOML: what JSON escapes is escaped there alike, but for
/// DEL.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

/// A text that stands for itself where `*` stands for anything.
fn pattern(text: &str) -> String {
    text.replace('*', "\\*")
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
