//! Opened state.

use std::sync::Arc;

use super::CounterStore;

/// Opened state, of any backend.
#[derive(Clone, Debug)]
pub struct State {
    counters: Arc<dyn CounterStore>,
}

impl State {
    /// State of a store of the program's own.
    pub fn new(counters: Arc<dyn CounterStore>) -> Self {
        Self { counters }
    }

    /// The counters of daily limits.
    pub fn counters(&self) -> &Arc<dyn CounterStore> {
        &self.counters
    }
}
