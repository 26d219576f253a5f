//! Facts from what the host holds in memory.

use std::sync::Arc;

use jiff::{Timestamp, Zoned};

use super::snapshot::PolicySnapshot;
use crate::quota::{Day, Ledger, relay_counter};
use crate::runtime::Facts;

/// Facts for one message: tables and relays of its snapshot, counters of the
/// ledger.
pub(super) struct LiveFacts {
    snapshot: Arc<PolicySnapshot>,
    ledger: Arc<dyn Ledger>,
    day: Day,
    arrival: Timestamp,
}

impl LiveFacts {
    pub(super) fn new(
        snapshot: Arc<PolicySnapshot>,
        ledger: Arc<dyn Ledger>,
        day: Day,
        arrival: Timestamp,
    ) -> Self {
        Self {
            snapshot,
            ledger,
            day,
            arrival,
        }
    }
}

impl Facts for LiveFacts {
    fn now(&self) -> Zoned {
        self.arrival
            .to_zoned(self.snapshot.config().time_zone.clone())
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        self.snapshot.tables().lookup(table, key).map(str::to_owned)
    }

    fn relay_usable(&self, name: &str) -> bool {
        self.snapshot.relays().is_usable(name)
    }

    fn relay_sent(&self, name: &str) -> u64 {
        self.ledger.used(&self.day, &relay_counter(name))
    }

    /// A domain counts as authenticated when we hold a key to sign for it.
    fn domain_authenticated(&self, name: &str) -> bool {
        !self.snapshot.keys().for_domain(name).is_empty()
    }
}
