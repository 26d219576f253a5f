//! Facts replayed from the trace of an earlier decision.
//!
//! "No such entry" is recorded as an answer. A query that is not in the trace is
//! reported ([`ReplayedFacts::unanswered`]): the policy now asks for more than was
//! recorded.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;

use super::provider::Facts;
use super::trace::FactTrace;

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
    use crate::StaticFacts;
    use crate::facts::trace::{MOST, RecordingFacts};

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
