//! Facts from the snapshot and the ledger.

use std::sync::Arc;

use jiff::Zoned;

use super::context::MessageContext;
use crate::quota::{Ledger, relay_counter};
use waxseal_runtime::Facts;

/// Facts for one message: tables and relays of its snapshot, counters of the
/// ledger.
pub(super) struct LiveFacts {
    context: MessageContext,
    ledger: Arc<dyn Ledger>,
}

impl LiveFacts {
    pub(super) fn new(context: MessageContext, ledger: Arc<dyn Ledger>) -> Self {
        Self { context, ledger }
    }
}

impl Facts for LiveFacts {
    fn now(&self) -> Zoned {
        let zone = self.context.snapshot.config().time_zone.clone();
        self.context.message.arrival.to_zoned(zone)
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let tables = self.context.snapshot.tables();
        tables.lookup(table, key).map(str::to_owned)
    }

    fn relay_usable(&self, name: &str) -> bool {
        self.context.snapshot.relays().is_usable(name)
    }

    fn relay_sent(&self, name: &str) -> u64 {
        self.ledger.used(&self.context.day, &relay_counter(name))
    }

    /// A domain is authenticated when there is a key to sign for it.
    fn domain_authenticated(&self, name: &str) -> bool {
        !self.context.snapshot.keys().for_domain(name).is_empty()
    }
}
