//! The interface of a store of daily counters.

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::civil::Date;

use super::{LeaseRequest, StateError};

/// A change of a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterDelta {
    /// Name of the counter.
    pub counter: String,
    /// Units spent since the last delta; negative when refunds exceed charges.
    pub spent: i64,
    /// Units taken in addition to those granted by [`CounterStore::take`];
    /// negative for granted units that are returned.
    pub taken: i64,
}

/// The values of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Units that processes have leased or spent. Limits apply to these.
    pub taken: u64,
    /// Units spent, as of the last reports.
    pub spent: u64,
}

/// Counters by day and name, shared by every process that opens the same state.
///
/// Every call may block on a disk or a network.
pub trait CounterStore: Debug + Send + Sync + 'static {
    /// Takes units of a counter and checks its maximum in one atomic step: the
    /// sum of all grants never exceeds `maximum`. A grant is durable when this
    /// returns: it survives a crash and a power failure.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or written. Nothing is granted then.
    fn take(
        &self,
        day: Date,
        counter: &str,
        request: LeaseRequest,
        maximum: u64,
    ) -> Result<u64, StateError>;

    /// Applies all deltas or none. A delta may be lost in a power failure: a
    /// delta that returns units then leaves the counter too high, never too low.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or written.
    fn apply(&self, day: Date, deltas: &[CounterDelta]) -> Result<(), StateError>;

    /// All counters of a day, for listings. There can be as many as
    /// `limits.new-counters` allows.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage(&self, day: Date) -> Result<BTreeMap<String, Usage>, StateError>;

    /// The counters of a day with these names. Missing ones are omitted.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage_of(&self, day: Date, names: &[&str]) -> Result<BTreeMap<String, Usage>, StateError>;

    /// The counters of a day whose names start with `prefix`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage_with_prefix(
        &self,
        day: Date,
        prefix: &str,
    ) -> Result<BTreeMap<String, Usage>, StateError>;

    /// The number of counters of a day.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn count(&self, day: Date) -> Result<u64, StateError>;

    /// Deletes all days before this one.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn prune(&self, before: Date) -> Result<(), StateError>;
}
