//! Facts as static values, for tests and trials.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Zoned;

use super::provider::Facts;

/// Static facts. Entries that are not listed do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFacts {
    /// Time of the decision.
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

impl StaticFacts {
    /// Facts with the time only.
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

impl Facts for StaticFacts {
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
