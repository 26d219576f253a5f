//! Facts of a case, overriding those of the pipeline.

use std::sync::Arc;

use jiff::Zoned;

use super::suite::Case;
use waxseal_runtime::Facts;

/// The facts of the pipeline, overridden by those of the case.
pub(super) struct GivenFacts<F> {
    pub(super) case: Arc<Case>,
    pub(super) facts: F,
}

impl<F: Facts> Facts for GivenFacts<F> {
    fn now(&self) -> Zoned {
        self.facts.now()
    }

    fn lookup(&self, table: &str, key: &str) -> Option<String> {
        let place = (table.to_owned(), key.to_owned());
        match self.case.input.tables.get(&place) {
            Some(value) => value.clone(),
            None => self.facts.lookup(table, key),
        }
    }

    fn relay_usable(&self, name: &str) -> bool {
        let on = self.case.input.relays.get(name);
        on.is_none_or(|on| on.value) && self.facts.relay_usable(name)
    }

    fn relay_sent(&self, name: &str) -> u64 {
        self.facts.relay_sent(name)
    }

    fn domain_authenticated(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match self.case.input.domains.get(&name) {
            Some(known) => *known,
            None => self.facts.domain_authenticated(&name),
        }
    }
}
