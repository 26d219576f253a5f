//! Facts replayed from the trace of an earlier decision.
//!
//! "No such entry" is recorded like a value. A query that is not in the trace is reported
//! ([`ReplayedFacts::unanswered`]): the policy now queries more than was recorded.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;

use super::provider::Facts;
use super::trace::FactTrace;

/// A query of a policy to the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactQuery {
    /// A key of a lookup table.
    Lookup(String, String),
    /// Whether a relay is usable.
    RelayUsable(String),
    /// Messages charged to a relay.
    RelaySent(String),
    /// Whether a domain is authenticated.
    DomainAuthenticated(String),
}

impl fmt::Display for FactQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(table, key) => write!(f, "\"{key}\" in table \"{table}\""),
            Self::RelayUsable(name) => write!(f, "whether relay \"{name}\" is usable"),
            Self::RelaySent(name) => write!(f, "what relay \"{name}\" has sent"),
            Self::DomainAuthenticated(name) => {
                write!(f, "whether domain \"{name}\" is authenticated")
            }
        }
    }
}

/// Facts of a recorded trace. Queries that it does not contain are passed to other facts,
/// and recorded as unanswered.
#[derive(Debug)]
pub struct ReplayedFacts<F> {
    trace: FactTrace,
    fallback: F,
    unanswered: Mutex<BTreeSet<FactQuery>>,
}

impl<F: Facts> ReplayedFacts<F> {
    /// Facts of a trace, and of `fallback` for queries that it does not contain.
    pub fn new(trace: FactTrace, fallback: F) -> Self {
        Self {
            trace,
            fallback,
            unanswered: Mutex::default(),
        }
    }

    /// Queries that the trace does not contain; the first ones, if there are very many.
    pub fn unanswered(&self) -> Vec<FactQuery> {
        let queries = self.unanswered.lock();
        let queries = queries.unwrap_or_else(PoisonError::into_inner);
        queries.iter().cloned().collect()
    }

    fn record_unanswered(&self, query: FactQuery) {
        let mut queries = self.unanswered.lock();
        let queries = queries.as_deref_mut();
        if let Ok(queries) = queries
            && queries.len() < 16
        {
            queries.insert(query);
        }
    }
}

impl<F: Facts> Facts for ReplayedFacts<F> {
    fn now(&self) -> Zoned {
        self.trace.now.clone()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let known = self.trace.lookups.get(table);
        match known.and_then(|known| known.get(key)) {
            Some(value) => value.clone(),
            None => {
                self.record_unanswered(FactQuery::Lookup(table.to_owned(), key.to_owned()));
                self.fallback.lookup(table, key)
            }
        }
    }

    fn relay_usable(&self, name: &str) -> bool {
        match self.trace.relays_usable.get(name) {
            Some(&usable) => usable,
            None => {
                self.record_unanswered(FactQuery::RelayUsable(name.to_owned()));
                self.fallback.relay_usable(name)
            }
        }
    }

    fn relay_sent(&self, name: &str) -> u64 {
        match self.trace.relays_sent.get(name) {
            Some(&sent) => sent,
            None => {
                self.record_unanswered(FactQuery::RelaySent(name.to_owned()));
                self.fallback.relay_sent(name)
            }
        }
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        match self.trace.domains_authenticated.get(name) {
            Some(&authenticated) => authenticated,
            None => {
                self.record_unanswered(FactQuery::DomainAuthenticated(name.to_owned()));
                self.fallback.domain_authenticated(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StaticFacts;
    use crate::facts::trace::{MAX_QUERIES, RecordingFacts};

    fn live() -> StaticFacts {
        let now = "2026-03-02T09:30:00.123+01:00[Europe/Berlin]";
        let mut live = StaticFacts::at(now.parse().expect("a moment"));
        let place = ("vip".to_owned(), "ann@acme.test".to_owned());
        live.lookups.insert(place, "gold".to_owned());
        live.usable_relays.insert("north".to_owned());
        live.sent.insert("north".to_owned(), 7);
        live.authenticated_domains.insert("acme.test".to_owned());
        live
    }

    fn nothing() -> StaticFacts {
        StaticFacts::at(Zoned::default())
    }

    fn query_all(facts: &dyn Facts) -> impl PartialEq + std::fmt::Debug + use<> {
        (
            facts.now(),
            facts.lookup("vip", "ann@acme.test"),
            facts.lookup("vip", "bob@acme.test"),
            facts.relay_usable("north"),
            facts.relay_usable("south"),
            facts.relay_sent("north"),
            facts.domain_authenticated("acme.test"),
            facts.domain_authenticated("other.test"),
        )
    }

    #[test]
    fn a_serialized_trace_gives_the_same_results() {
        let recorder = RecordingFacts::new(live());
        let expected = query_all(&recorder);
        let written = serde_json::to_string(&recorder.trace()).expect("JSON");
        let read: FactTrace = serde_json::from_str(&written).expect("trace");
        assert_eq!(read, recorder.trace());
        let again = ReplayedFacts::new(read, nothing());
        assert_eq!(query_all(&again), expected);
        assert_eq!(again.unanswered(), []);
    }

    #[test]
    fn missing_entries_are_distinguished_from_unrecorded_queries() {
        let recorder = RecordingFacts::new(live());
        assert_eq!(recorder.lookup("vip", "bob@acme.test"), None);
        let again = ReplayedFacts::new(recorder.trace(), live());
        assert_eq!(again.lookup("vip", "bob@acme.test"), None);
        assert_eq!(again.unanswered(), []);
        let gold = again.lookup("vip", "ann@acme.test");
        assert_eq!(gold.as_deref(), Some("gold"), "from the other facts");
        let query = FactQuery::Lookup("vip".to_owned(), "ann@acme.test".to_owned());
        assert_eq!(again.unanswered(), [query]);
    }

    #[test]
    fn r28_the_number_of_recorded_queries_is_limited() {
        let recorder = RecordingFacts::new(nothing());
        for number in 0..1_000_000 {
            recorder.relay_usable(&number.to_string());
        }
        let trace = recorder.trace();
        assert!(trace.truncated);
        assert_eq!(trace.relays_usable.len(), MAX_QUERIES);
        let again = ReplayedFacts::new(trace, nothing());
        for number in 0..1_000_000 {
            again.relay_usable(&number.to_string());
        }
        assert_eq!(again.unanswered().len(), 16);
    }
}
