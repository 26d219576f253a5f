//! Counters in memory: bookkeeping without store, clock or lock.
//!
//! A counter with a limit is charged from a *lease*: units that the store granted
//! to this process alone. A counter without a limit is charged at once. Both
//! collect changes that are written to the store later.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::receipt::{ChargedItem, Receipt};
use super::request::ChargeRequest;
use crate::state::{CounterDelta, Usage};

/// Counters of the days in use: today and, around midnight, yesterday.
#[derive(Debug, Default)]
pub(super) struct CounterCache {
    days: Vec<(Date, Counters)>,
    closed: bool,
}

/// The counters of one day.
#[derive(Debug, Default)]
struct Counters {
    by_name: HashMap<Arc<str>, Counter>,
    /// Counters with changes that are not in the store yet. Only these are written
    /// at each synchronization.
    changed: Vec<Arc<str>>,
}

/// One counter of one day.
#[derive(Debug)]
struct Counter {
    name: Arc<str>,
    /// Units granted by the store and not spent.
    lease: u64,
    /// Incremented when the maximum changes, so that refunds of an earlier lease
    /// are recognized.
    lease_number: u32,
    /// The maximum under which the lease was granted.
    maximum: Option<u64>,
    /// Spent by this process today.
    spent: u64,
    /// Spent by other processes today, as of the last synchronization.
    elsewhere: u64,
    /// Spent units not yet written to the store.
    pending_spent: i64,
    /// Taken units not yet written to the store: those that [`CounterStore::take`]
    /// did not grant; negative for returned ones.
    ///
    /// [`CounterStore::take`]: crate::state::CounterStore::take
    pending_taken: i64,
    /// Whether it is in the list of changed counters.
    changed: bool,
}

/// Why a charge cannot be made from memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// The request with this index needs more units than the lease has.
    Units(usize),
    /// The request with this index has another maximum than the lease, or names a
    /// new counter.
    Maximum(usize),
    /// The cache is closed.
    Closed,
}

impl Counter {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            lease: 0,
            lease_number: 0,
            maximum: None,
            spent: 0,
            elsewhere: 0,
            pending_spent: 0,
            pending_taken: 0,
            changed: false,
        }
    }

    /// Ends the lease: unspent units are returned to the store.
    fn end_lease(&mut self) {
        let left = std::mem::take(&mut self.lease);
        self.return_units(left);
        self.lease_number = self.lease_number.wrapping_add(1);
    }

    fn return_units(&mut self, amount: u64) {
        self.pending_taken = self.pending_taken.saturating_sub(units(amount));
    }

    /// Takes the change that must be written to the store.
    fn take_delta(&mut self) -> Option<CounterDelta> {
        if self.pending_spent == 0 && self.pending_taken == 0 {
            return None;
        }
        Some(CounterDelta {
            counter: self.name.to_string(),
            spent: std::mem::take(&mut self.pending_spent),
            taken: std::mem::take(&mut self.pending_taken),
        })
    }

    fn spend(&mut self, amount: u64) {
        self.spent = self.spent.saturating_add(amount);
        self.pending_spent = self.pending_spent.saturating_add(units(amount));
        match self.maximum {
            Some(_) => self.lease = self.lease.saturating_sub(amount),
            None => self.pending_taken = self.pending_taken.saturating_add(units(amount)),
        }
    }
}

impl CounterCache {
    /// The counters of a day, created if missing.
    fn day(&mut self, date: Date) -> &mut Counters {
        let at = match self.days.iter().position(|(other, _)| *other == date) {
            Some(at) => at,
            None => {
                self.days.push((date, Counters::default()));
                self.days.len() - 1
            }
        };
        &mut self.days[at].1
    }

    /// Charges all requests or none. No two requests may name one counter.
    pub(super) fn charge(
        &mut self,
        date: Date,
        requests: &[ChargeRequest],
    ) -> Result<Receipt, Shortfall> {
        if self.closed {
            return Err(Shortfall::Closed);
        }
        let counters = self.day(date);
        for (at, request) in requests.iter().enumerate() {
            match counters.by_name.get(request.counter.as_str()) {
                Some(counter) if counter.maximum == request.maximum => {
                    if request.maximum.is_some() && counter.lease < request.amount {
                        return Err(Shortfall::Units(at));
                    }
                }
                _ => return Err(Shortfall::Maximum(at)),
            }
        }
        let mut items = Vec::with_capacity(requests.len());
        for request in requests {
            if let Some(counter) = counters.by_name.get_mut(request.counter.as_str()) {
                counter.spend(request.amount);
                mark_changed(counter, &mut counters.changed);
                items.push(ChargedItem {
                    counter: counter.name.clone(),
                    amount: request.amount,
                    lease: counter.lease_number,
                });
            }
        }
        Ok(Receipt {
            day: Some(date),
            items,
        })
    }

    /// Undoes a charge.
    pub(super) fn refund(&mut self, receipt: Receipt) {
        let Some(date) = receipt.day else { return };
        let Some((_, counters)) = self.days.iter_mut().find(|(other, _)| *other == date) else {
            // Its day is over: its counters are no longer needed.
            return;
        };
        for item in receipt.items {
            let Some(counter) = counters.by_name.get_mut(&item.counter) else {
                continue;
            };
            counter.spent = counter.spent.saturating_sub(item.amount);
            counter.pending_spent = counter.pending_spent.saturating_sub(units(item.amount));
            // Units of an ended lease must not be spent under another maximum: they
            // are returned to the store.
            if counter.maximum.is_some() && counter.lease_number == item.lease {
                counter.lease = counter.lease.saturating_add(item.amount);
            } else {
                counter.return_units(item.amount);
            }
            mark_changed(counter, &mut counters.changed);
        }
    }

    /// Whether a counter is in the cache.
    pub(super) fn contains(&self, date: Date, name: &str) -> bool {
        self.find(date, name).is_some()
    }

    /// Adds a counter that is not in the store.
    pub(super) fn insert(&mut self, date: Date, name: &str) {
        counter_of(self.day(date), name);
    }

    /// Starts a lease of a counter under a maximum. Returns the change that is to
    /// be written to the store first.
    pub(super) fn start_lease(
        &mut self,
        date: Date,
        name: &str,
        maximum: Option<u64>,
    ) -> Option<CounterDelta> {
        let counter = counter_of(self.day(date), name);
        counter.end_lease();
        counter.maximum = maximum;
        counter.take_delta()
    }

    /// Adds units that the store granted.
    pub(super) fn add_grant(&mut self, date: Date, name: &str, granted: u64) {
        if let Some(counter) = self.day(date).by_name.get_mut(name) {
            counter.lease = counter.lease.saturating_add(granted);
        }
    }

    /// Unspent units of a counter's lease.
    pub(super) fn leased(&self, date: Date, name: &str) -> u64 {
        self.find(date, name).map_or(0, |counter| counter.lease)
    }

    /// Units of a counter spent by all processes, as far as known.
    pub(super) fn used(&self, date: Date, name: &str) -> u64 {
        self.find(date, name)
            .map_or(0, |counter| counter.spent.saturating_add(counter.elsewhere))
    }

    /// The days in the cache.
    pub(super) fn dates(&self) -> Vec<Date> {
        self.days.iter().map(|(date, _)| *date).collect()
    }

    /// Takes the changes of a day that are to be written to the store.
    pub(super) fn take_deltas(&mut self, date: Date) -> Vec<CounterDelta> {
        let counters = self.day(date);
        let changed = std::mem::take(&mut counters.changed);
        let delta = |name: Arc<str>| {
            let counter = counters.by_name.get_mut(&name)?;
            counter.changed = false;
            counter.take_delta()
        };
        changed.into_iter().filter_map(delta).collect()
    }

    /// Puts changes back that could not be written.
    pub(super) fn restore_deltas(&mut self, date: Date, deltas: Vec<CounterDelta>) {
        let counters = self.day(date);
        for delta in deltas {
            let counter = counter_of(counters, &delta.counter);
            counter.pending_spent = counter.pending_spent.saturating_add(delta.spent);
            counter.pending_taken = counter.pending_taken.saturating_add(delta.taken);
            let name = delta.counter.as_str();
            if let Some(counter) = counters.by_name.get_mut(name) {
                mark_changed(counter, &mut counters.changed);
            }
        }
    }

    /// Ends all leases and rejects further charges.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, counters) in &mut self.days {
            for counter in counters.by_name.values_mut() {
                counter.end_lease();
                mark_changed(counter, &mut counters.changed);
            }
        }
    }

    /// Updates what other processes spent from the store's values, which include
    /// what this process has written.
    pub(super) fn update_usage(&mut self, date: Date, usage: &BTreeMap<String, Usage>) {
        let counters = self.day(date);
        for (name, usage) in usage {
            let counter = counter_of(counters, name);
            let written = i128::from(counter.spent) - i128::from(counter.pending_spent);
            counter.elsewhere = u64::try_from(i128::from(usage.spent) - written).unwrap_or(0);
        }
    }

    /// Removes all days before this one.
    pub(super) fn prune(&mut self, date: Date) {
        self.days.retain(|(other, _)| *other >= date);
    }

    fn find(&self, date: Date, name: &str) -> Option<&Counter> {
        self.days
            .iter()
            .find(|(other, _)| *other == date)?
            .1
            .by_name
            .get(name)
    }
}

fn counter_of<'a>(counters: &'a mut Counters, name: &str) -> &'a mut Counter {
    let name: Arc<str> = name.into();
    counters
        .by_name
        .entry(name.clone())
        .or_insert_with(|| Counter::new(name))
}

/// Adds a counter with changes to the list of changed counters, once.
fn mark_changed(counter: &mut Counter, changed: &mut Vec<Arc<str>>) {
    if !counter.changed && (counter.pending_spent != 0 || counter.pending_taken != 0) {
        counter.changed = true;
        changed.push(counter.name.clone());
    }
}

fn units(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
