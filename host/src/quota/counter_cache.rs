//! What a host knows of its counters: pure bookkeeping, without store, clock or
//! lock.
//!
//! A counter with a maximum is spent from a *lease*: units that the store has
//! granted to this host alone. A counter without one is spent at once. Both
//! gather what the store has yet to be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::{ChargeRequest, ChargedItem, Receipt};
use crate::state::{CounterDelta, Usage};

/// Counters of the days in use, today's and perhaps yesterday's.
#[derive(Debug, Default)]
pub(super) struct CounterCache {
    days: Vec<(Date, Counters)>,
    closed: bool,
}

/// The counters of one day.
#[derive(Debug, Default)]
struct Counters {
    by_name: HashMap<Arc<str>, Counter>,
    /// Those with changes that are not in the store yet: only these are written
    /// each second, however many there are.
    changed: Vec<Arc<str>>,
}

/// One counter of one day.
#[derive(Debug)]
struct Counter {
    name: Arc<str>,
    /// Units that the store granted and that are not spent.
    lease: u64,
    /// Changes with the maximum: units of another lease are not mixed in.
    lease_number: u32,
    /// The maximum that the lease was granted under.
    maximum: Option<u64>,
    /// Spent by this host today.
    spent: u64,
    /// Spent by all others today, as of the last look.
    elsewhere: u64,
    /// Not yet told to the store.
    pending_spent: i64,
    /// Not yet told to the store: units that [`CounterStore::take`] did not grant, or
    /// that go back.
    ///
    /// [`CounterStore::take`]: crate::state::CounterStore::take
    pending_taken: i64,
    /// It is among those that changed.
    changed: bool,
}

/// What keeps a charge from being made at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// The draw of this number needs more units than the lease has.
    Units(usize),
    /// The draw of this number names another maximum than the lease was granted
    /// under, or a new counter.
    Maximum(usize),
    /// The book is closed.
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

    /// Ends the lease: what is left of it goes back to the store.
    fn end_lease(&mut self) {
        let left = std::mem::take(&mut self.lease);
        self.return_units(left);
        self.lease_number = self.lease_number.wrapping_add(1);
    }

    fn return_units(&mut self, amount: u64) {
        self.pending_taken = self.pending_taken.saturating_sub(units(amount));
    }

    /// What the store has to be told. From here on it counts as told.
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
    /// The counters of a day, made where there are none.
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
            // Its day is over: nobody asks for its counters any more.
            return;
        };
        for item in receipt.items {
            let Some(counter) = counters.by_name.get_mut(&item.counter) else {
                continue;
            };
            counter.spent = counter.spent.saturating_sub(item.amount);
            counter.pending_spent = counter.pending_spent.saturating_sub(units(item.amount));
            // Units of a lease that is gone may not be spent again under another
            // maximum: they go back to the store.
            if counter.maximum.is_some() && counter.lease_number == item.lease {
                counter.lease = counter.lease.saturating_add(item.amount);
            } else {
                counter.return_units(item.amount);
            }
            mark_changed(counter, &mut counters.changed);
        }
    }

    /// Whether a counter is known: this host has charged it today, or looked it
    /// up.
    pub(super) fn contains(&self, date: Date, name: &str) -> bool {
        self.find(date, name).is_some()
    }

    /// Makes a counter that nothing is known of elsewhere.
    pub(super) fn insert(&mut self, date: Date, name: &str) {
        counter_of(self.day(date), name);
    }

    /// Prepares a counter for requests under a maximum, and gives what the store
    /// has to be told about it first.
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

    /// Units of a counter that this host may still spend.
    pub(super) fn leased(&self, date: Date, name: &str) -> u64 {
        self.find(date, name).map_or(0, |counter| counter.lease)
    }

    /// Units of a counter that are spent, as far as is known.
    pub(super) fn used(&self, date: Date, name: &str) -> u64 {
        self.find(date, name)
            .map_or(0, |counter| counter.spent.saturating_add(counter.elsewhere))
    }

    /// Days that are kept.
    pub(super) fn dates(&self) -> Vec<Date> {
        self.days.iter().map(|(date, _)| *date).collect()
    }

    /// What the store has to be told about a day.
    pub(super) fn take_deltas(&mut self, date: Date) -> Vec<CounterDelta> {
        let counters = self.day(date);
        let changed = std::mem::take(&mut counters.changed);
        let entry = |name: Arc<str>| {
            let counter = counters.by_name.get_mut(&name)?;
            counter.changed = false;
            counter.take_delta()
        };
        changed.into_iter().filter_map(entry).collect()
    }

    /// Takes back what the store could not be told.
    pub(super) fn restore_deltas(&mut self, date: Date, entries: Vec<CounterDelta>) {
        let counters = self.day(date);
        for entry in entries {
            let counter = counter_of(counters, &entry.counter);
            counter.pending_spent = counter.pending_spent.saturating_add(entry.spent);
            counter.pending_taken = counter.pending_taken.saturating_add(entry.taken);
            let name = entry.counter.as_str();
            if let Some(counter) = counters.by_name.get_mut(name) {
                mark_changed(counter, &mut counters.changed);
            }
        }
    }

    /// Ends all leases and lets nothing be charged any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, counters) in &mut self.days {
            for counter in counters.by_name.values_mut() {
                counter.end_lease();
                mark_changed(counter, &mut counters.changed);
            }
        }
    }

    /// Notes what the store says. What this host has spent and told is part of
    /// it.
    pub(super) fn update_usage(&mut self, date: Date, usage: &BTreeMap<String, Usage>) {
        let counters = self.day(date);
        for (name, usage) in usage {
            let counter = counter_of(counters, name);
            let told = i128::from(counter.spent) - i128::from(counter.pending_spent);
            counter.elsewhere = u64::try_from(i128::from(usage.spent) - told).unwrap_or(0);
        }
    }

    /// Forgets all days before this one.
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

/// Notes that the store has to be told about a counter, once.
fn mark_changed(counter: &mut Counter, changed: &mut Vec<Arc<str>>) {
    if !counter.changed && (counter.pending_spent != 0 || counter.pending_taken != 0) {
        counter.changed = true;
        changed.push(counter.name.clone());
    }
}

fn units(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
