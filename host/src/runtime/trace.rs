//! What a decision asked the host, and what it was told: kept while it decides,
//! and given again when the decision is repeated.
//!
//! "There is none" is an answer like any other and is kept as one. A question
//! that was never put is something else: whoever repeats a decision with another
//! policy has to know that it asks for more than was recorded
//! ([`ReplayedFacts::unanswered`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::Facts;

/// Most answers that are kept of one decision. One that asks for more than this
/// does so by mistake or in malice; it must not fill memory and disk.
const MOST: usize = 4096;

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

/// Something that a policy asks the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactQuery {
    /// A key of a lookup table.
    Lookup(String, String),
    /// Whether a relay is usable.
    RelayUsable(String),
    /// What was charged to a relay.
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

/// Gives recorded answers again. What is not among them is asked elsewhere, and
/// remembered as unanswered.
pub struct ReplayedFacts<F> {
    answers: FactTrace,
    elsewhere: F,
    unanswered: Mutex<BTreeSet<FactQuery>>,
}

impl<F: Facts> ReplayedFacts<F> {
    /// Recorded answers first, then those of `elsewhere`.
    pub fn new(answers: FactTrace, elsewhere: F) -> Self {
        Self {
            answers,
            elsewhere,
            unanswered: Mutex::default(),
        }
    }

    /// What was asked for and not among the answers; the first of it, where
    /// that is very much.
    pub fn unanswered(&self) -> Vec<FactQuery> {
        let questions = self.unanswered.lock();
        let questions = questions.unwrap_or_else(PoisonError::into_inner);
        questions.iter().cloned().collect()
    }

    fn missed(&self, question: FactQuery) {
        let mut questions = self.unanswered.lock();
        let questions = questions.as_deref_mut();
        if let Ok(questions) = questions
            && questions.len() < 16
        {
            questions.insert(question);
        }
    }
}

impl<F: Facts> Facts for ReplayedFacts<F> {
    fn now(&self) -> Zoned {
        self.answers.now.clone()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let known = self.answers.lookups.get(table);
        match known.and_then(|known| known.get(key)) {
            Some(value) => value.clone(),
            None => {
                self.missed(FactQuery::Lookup(table.to_owned(), key.to_owned()));
                self.elsewhere.lookup(table, key)
            }
        }
    }

    fn relay_usable(&self, name: &str) -> bool {
        match self.answers.relays_usable.get(name) {
            Some(&usable) => usable,
            None => {
                self.missed(FactQuery::RelayUsable(name.to_owned()));
                self.elsewhere.relay_usable(name)
            }
        }
    }

    fn relay_sent(&self, name: &str) -> u64 {
        match self.answers.relays_sent.get(name) {
            Some(&sent) => sent,
            None => {
                self.missed(FactQuery::RelaySent(name.to_owned()));
                self.elsewhere.relay_sent(name)
            }
        }
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        match self.answers.domains_authenticated.get(name) {
            Some(&authenticated) => authenticated,
            None => {
                self.missed(FactQuery::DomainAuthenticated(name.to_owned()));
                self.elsewhere.domain_authenticated(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::StaticFacts;

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

    fn ask(facts: &dyn Facts) -> impl PartialEq + std::fmt::Debug + use<> {
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
    fn what_was_asked_for_is_answered_again_alike_after_it_was_written_down() {
        let recorder = RecordingFacts::new(live());
        let told = ask(&recorder);
        let written = serde_json::to_string(&recorder.answers()).expect("JSON");
        let read: FactTrace = serde_json::from_str(&written).expect("answers");
        assert_eq!(read, recorder.answers());
        let again = ReplayedFacts::new(read, nothing());
        assert_eq!(ask(&again), told);
        assert_eq!(again.unanswered(), []);
    }

    #[test]
    fn what_there_was_not_is_told_from_what_was_never_asked_for() {
        let recorder = RecordingFacts::new(live());
        assert_eq!(recorder.lookup("vip", "bob@acme.test"), None);
        let again = ReplayedFacts::new(recorder.answers(), live());
        assert_eq!(again.lookup("vip", "bob@acme.test"), None);
        assert_eq!(again.unanswered(), []);
        let gold = again.lookup("vip", "ann@acme.test");
        assert_eq!(gold.as_deref(), Some("gold"), "asked elsewhere");
        let question = FactQuery::Lookup("vip".to_owned(), "ann@acme.test".to_owned());
        assert_eq!(again.unanswered(), [question]);
    }

    #[test]
    fn r28_a_million_questions_are_not_all_kept() {
        let recorder = RecordingFacts::new(nothing());
        for number in 0..1_000_000 {
            recorder.relay_usable(&number.to_string());
        }
        let answers = recorder.answers();
        assert!(answers.truncated);
        assert_eq!(answers.relays_usable.len(), MOST);
        let again = ReplayedFacts::new(answers, nothing());
        for number in 0..1_000_000 {
            again.relay_usable(&number.to_string());
        }
        assert_eq!(again.unanswered().len(), 16);
    }
}
