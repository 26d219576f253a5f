//! The trace of a decision's queries and their results, recorded while it decides, to
//! replay the decision later.
//!
//! "No such entry" is recorded like a value. A query that was never made is different: a
//! replay with another policy reports that it queries more than was recorded
//! ([`ReplayedFacts::unanswered`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::provider::Facts;

/// Maximum queries of queries that are recorded for one decision. One with more is a
/// mistake or an attack, which must not fill memory and disk.
pub(super) const MAX_QUERIES: usize = 4096;

/// Maximum size of names, keys and values that are recorded for one decision, in bytes.
const MAX_TRACE_BYTES: usize = 1 << 20;

/// Queries of one decision and their results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FactTrace {
    /// Time of the decision, with its time zone.
    pub now: Zoned,
    /// Values by table and key; `None` if there was no such table or key.
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
    /// Whether the decision made more queries than are recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl FactTrace {
    /// A trace with the time only.
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

/// Passes queries to other facts and records the results, so that the decision can be
/// replayed when the facts have changed.
#[derive(Debug)]
pub struct RecordingFacts<F> {
    facts: F,
    trace: Mutex<Trace>,
}

#[derive(Debug)]
struct Trace {
    facts: FactTrace,
    queries: usize,
    bytes: usize,
}

impl Trace {
    /// Whether another result of that size may be recorded.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.queries < MAX_QUERIES && self.bytes + bytes <= MAX_TRACE_BYTES;
        if fits {
            self.queries += 1;
            self.bytes += bytes;
        } else {
            self.facts.truncated = true;
        }
        fits
    }
}

impl<F: Facts> RecordingFacts<F> {
    /// Starts a trace.
    pub fn new(facts: F) -> Self {
        let trace = Mutex::new(Trace {
            facts: FactTrace::at(facts.now()),
            queries: 0,
            bytes: 0,
        });
        Self { facts, trace }
    }

    /// The trace so far.
    pub fn trace(&self) -> FactTrace {
        self.lock().facts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result of a query.
    fn record<T>(
        &self,
        name: &str,
        answer: T,
        list: impl Fn(&mut FactTrace) -> &mut BTreeMap<String, T>,
    ) {
        let mut trace = self.lock();
        if list(&mut trace.facts).contains_key(name) || !trace.has_room(name.len()) {
            return;
        }
        list(&mut trace.facts).insert(name.to_owned(), answer);
    }
}

impl<F: Facts> Facts for RecordingFacts<F> {
    fn now(&self) -> Zoned {
        self.facts.now()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let value = self.facts.lookup(table, key);
        let mut trace = self.lock();
        let known = trace.facts.lookups.get(table);
        if known.is_none_or(|known| !known.contains_key(key)) {
            let bytes = table.len() + key.len() + value.as_ref().map_or(0, String::len);
            if trace.has_room(bytes) {
                let entries = trace.facts.lookups.entry(table.to_owned()).or_default();
                entries.insert(key.to_owned(), value.clone());
            }
        }
        value
    }

    fn relay_usable(&self, name: &str) -> bool {
        let usable = self.facts.relay_usable(name);
        self.record(name, usable, |trace| &mut trace.relays_usable);
        usable
    }

    fn relay_sent(&self, name: &str) -> u64 {
        let sent = self.facts.relay_sent(name);
        self.record(name, sent, |trace| &mut trace.relays_sent);
        sent
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        let authenticated = self.facts.domain_authenticated(name);
        self.record(name, authenticated, |trace| {
            &mut trace.domains_authenticated
        });
        authenticated
    }
}
