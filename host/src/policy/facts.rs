//! What the host knows when a decision is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Zoned;

/// Facts for one decision. The live form looks into tables and counters; a
/// recorded or a given one stands in for it in tests and replays. All answers
/// come from memory: a decision never waits for I/O.
pub trait Facts: Send + Sync {
    /// The message's arrival in the organisation's time zone.
    fn now(&self) -> Zoned;
    /// The value of a key in a lookup table; none where either is missing.
    fn lookup(&self, table: &str, key: &str) -> Option<String>;
    /// Whether a relay exists, is on and healthy. Room in its daily maximum is
    /// not looked at.
    fn relay_usable(&self, name: &str) -> bool;
    /// Messages charged to a relay today.
    fn relay_sent(&self, name: &str) -> u64;
    /// Whether a domain is registered and its DNS records were found good.
    fn domain_authenticated(&self, name: &str) -> bool;
}

/// Facts that were recorded, or made up for a trial: what is not in them is not
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFacts {
    /// The moment of the decision.
    pub now: Zoned,
    /// Values by table and key.
    pub lookups: BTreeMap<(String, String), String>,
    /// Relays that are usable.
    pub usable_relays: BTreeSet<String>,
    /// Messages charged to relays.
    pub sent: BTreeMap<String, u64>,
    /// Domains that are authenticated.
    pub authenticated_domains: BTreeSet<String>,
}

impl RecordedFacts {
    /// A host that knows nothing but the time.
    pub fn at(now: Zoned) -> Self {
        Self {
            now,
            lookups: BTreeMap::new(),
            usable_relays: BTreeSet::new(),
            sent: BTreeMap::new(),
            authenticated_domains: BTreeSet::new(),
        }
    }
}

impl Facts for RecordedFacts {
    fn now(&self) -> Zoned {
        self.now.clone()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let place = (table.to_owned(), key.to_owned());
        self.lookups.get(&place).cloned()
    }

    fn relay_usable(&self, name: &str) -> bool {
        self.usable_relays.contains(name)
    }

    fn relay_sent(&self, name: &str) -> u64 {
        self.sent.get(name).copied().unwrap_or(0)
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        self.authenticated_domains.contains(name)
    }
}

/// Hands other facts on and keeps what was asked for: with that, the decision
/// can be repeated when the facts have changed.
pub struct Recorder<F> {
    facts: F,
    recorded: Mutex<RecordedFacts>,
}

impl<F: Facts> Recorder<F> {
    /// Begins to record.
    pub fn new(facts: F) -> Self {
        let recorded = Mutex::new(RecordedFacts::at(facts.now()));
        Self { facts, recorded }
    }

    /// What was asked for so far.
    pub fn recorded(&self) -> RecordedFacts {
        self.record().clone()
    }

    fn record(&self) -> MutexGuard<'_, RecordedFacts> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Facts> Facts for Recorder<F> {
    fn now(&self) -> Zoned {
        self.facts.now()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let value = self.facts.lookup(table, key);
        if let Some(value) = &value {
            let place = (table.to_owned(), key.to_owned());
            self.record().lookups.insert(place, value.clone());
        }
        value
    }

    fn relay_usable(&self, name: &str) -> bool {
        let usable = self.facts.relay_usable(name);
        if usable {
            self.record().usable_relays.insert(name.to_owned());
        }
        usable
    }

    fn relay_sent(&self, name: &str) -> u64 {
        let sent = self.facts.relay_sent(name);
        self.record().sent.insert(name.to_owned(), sent);
        sent
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        let authenticated = self.facts.domain_authenticated(name);
        if authenticated {
            self.record().authenticated_domains.insert(name.to_owned());
        }
        authenticated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_answered_again_alike() {
        let now = "2026-03-02T09:30:00[UTC]".parse().expect("a moment");
        let mut live = RecordedFacts::at(now);
        let place = ("vip".to_owned(), "ann@acme.test".to_owned());
        live.lookups.insert(place, "gold".to_owned());
        live.usable_relays.insert("north".to_owned());
        live.sent.insert("north".to_owned(), 7);
        live.authenticated_domains.insert("acme.test".to_owned());
        let ask = |facts: &dyn Facts| {
            (
                facts.now(),
                facts.lookup("vip", "ann@acme.test"),
                facts.lookup("vip", "bob@acme.test"),
                facts.relay_usable("north"),
                facts.relay_usable("south"),
                facts.relay_sent("north"),
                facts.domain_authenticated("acme.test"),
            )
        };
        let recorder = Recorder::new(live.clone());
        let answers = ask(&recorder);
        assert_eq!(ask(&recorder.recorded()), answers);
        assert_eq!(recorder.recorded(), live);
    }

    #[test]
    fn what_was_not_asked_for_is_not_recorded() {
        let now: Zoned = "2026-03-02T09:30:00[UTC]".parse().expect("a moment");
        let mut live = RecordedFacts::at(now.clone());
        live.usable_relays.insert("north".to_owned());
        let recorder = Recorder::new(live);
        assert_eq!(recorder.recorded(), RecordedFacts::at(now));
    }
}
