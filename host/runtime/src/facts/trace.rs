//! What a decision asked the host, and what it was told: kept while it decides,
//! and given again when the decision is repeated.
//!
//! "There is none" is an answer like any other and is kept as one. A question
//! that was never put is something else: whoever repeats a decision with another
//! policy has to know that it asks for more than was recorded
//! ([`ReplayedFacts::unanswered`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::provider::Facts;

/// Most answers that are kept of one decision. One that asks for more than this
/// does so by mistake or in malice; it must not fill memory and disk.
pub(super) const MOST: usize = 4096;

/// Most bytes of names, keys and values that are kept of one decision.
const MOST_BYTES: usize = 1 << 20;

/// FactTrace of the host to one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FactTrace {
    /// The moment of the decision, with its time zone.
    pub now: Zoned,
    /// Values by table and key; none where there was no such table or key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lookups: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// Whether relays were usable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relays_usable: BTreeMap<String, bool>,
    /// Messages charged to relays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relays_sent: BTreeMap<String, u64>,
    /// Whether domains were authenticated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domains_authenticated: BTreeMap<String, bool>,
    /// More was asked than is kept of one decision: the rest is not here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl FactTrace {
    /// Nothing was asked but the time.
    pub fn at(now: Zoned) -> Self {
        Self {
            now,
            lookups: BTreeMap::new(),
            relays_usable: BTreeMap::new(),
            relays_sent: BTreeMap::new(),
            domains_authenticated: BTreeMap::new(),
            truncated: false,
        }
    }
}

/// Hands other facts on and keeps what was asked for: with that, the decision
/// can be repeated when the facts have changed.
pub struct RecordingFacts<F> {
    facts: F,
    kept: Mutex<Kept>,
}

struct Kept {
    answers: FactTrace,
    number: usize,
    bytes: usize,
}

impl Kept {
    /// Whether there is room for one more answer of that size.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.number < MOST && self.bytes + bytes <= MOST_BYTES;
        if fits {
            self.number += 1;
            self.bytes += bytes;
        } else {
            self.answers.truncated = true;
        }
        fits
    }
}

impl<F: Facts> RecordingFacts<F> {
    /// Begins to record.
    pub fn new(facts: F) -> Self {
        let kept = Mutex::new(Kept {
            answers: FactTrace::at(facts.now()),
            number: 0,
            bytes: 0,
        });
        Self { facts, kept }
    }

    /// What was asked for so far.
    pub fn answers(&self) -> FactTrace {
        self.kept().answers.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer that is found by a name.
    fn keep<T>(
        &self,
        name: &str,
        answer: T,
        list: impl Fn(&mut FactTrace) -> &mut BTreeMap<String, T>,
    ) {
        let mut kept = self.kept();
        if list(&mut kept.answers).contains_key(name) || !kept.has_room(name.len()) {
            return;
        }
        list(&mut kept.answers).insert(name.to_owned(), answer);
    }
}

impl<F: Facts> Facts for RecordingFacts<F> {
    fn now(&self) -> Zoned {
        self.facts.now()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let value = self.facts.lookup(table, key);
        let mut kept = self.kept();
        let known = kept.answers.lookups.get(table);
        if known.is_none_or(|known| !known.contains_key(key)) {
            let bytes = table.len() + key.len() + value.as_ref().map_or(0, String::len);
            if kept.has_room(bytes) {
                let entries = kept.answers.lookups.entry(table.to_owned()).or_default();
                entries.insert(key.to_owned(), value.clone());
            }
        }
        value
    }

    fn relay_usable(&self, name: &str) -> bool {
        let usable = self.facts.relay_usable(name);
        self.keep(name, usable, |answers| &mut answers.relays_usable);
        usable
    }

    fn relay_sent(&self, name: &str) -> u64 {
        let sent = self.facts.relay_sent(name);
        self.keep(name, sent, |answers| &mut answers.relays_sent);
        sent
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        let authenticated = self.facts.domain_authenticated(name);
        self.keep(name, authenticated, |answers| {
            &mut answers.domains_authenticated
        });
        authenticated
    }
}
