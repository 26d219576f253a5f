//! What a host knows of its counters: pure bookkeeping, without store, clock or
//! lock.
//!
//! A counter with a maximum is spent from a *lease*: units that the store has
//! granted to this host alone. A counter without one is spent at once. Both
//! gather what the store has yet to be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::{Draw, Item, Receipt};
use crate::state::{CounterDelta, Usage};

/// Counters of the days in use, today's and perhaps yesterday's.
#[derive(Debug, Default)]
pub(super) struct Book {
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
    untold_spent: i64,
    /// Not yet told to the store: units that [`CounterStore::take`] did not grant, or
    /// that go back.
    ///
    /// [`CounterStore::take`]: crate::state::CounterStore::take
    untold_taken: i64,
    /// It is among those that changed.
    listed: bool,
}

/// What keeps a charge from being made at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Short {
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
            untold_spent: 0,
            untold_taken: 0,
            listed: false,
        }
    }

    /// Ends the lease: what is left of it goes back to the store.
    fn end_lease(&mut self) {
        let left = std::mem::take(&mut self.lease);
        self.give_back(left);
        self.lease_number = self.lease_number.wrapping_add(1);
    }

    fn give_back(&mut self, amount: u64) {
        self.untold_taken = self.untold_taken.saturating_sub(units(amount));
    }

    /// What the store has to be told. From here on it counts as told.
    fn entry(&mut self) -> Option<CounterDelta> {
        if self.untold_spent == 0 && self.untold_taken == 0 {
            return None;
        }
        Some(CounterDelta {
            counter: self.name.to_string(),
            spent: std::mem::take(&mut self.untold_spent),
            taken: std::mem::take(&mut self.untold_taken),
        })
    }

    fn spend(&mut self, amount: u64) {
        self.spent = self.spent.saturating_add(amount);
        self.untold_spent = self.untold_spent.saturating_add(units(amount));
        match self.maximum {
            Some(_) => self.lease = self.lease.saturating_sub(amount),
            None => self.untold_taken = self.untold_taken.saturating_add(units(amount)),
        }
    }
}

impl Book {
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

    /// Charges all draws or none. No two draws may name one counter.
    pub(super) fn charge(&mut self, date: Date, draws: &[Draw]) -> Result<Receipt, Short> {
        if self.closed {
            return Err(Short::Closed);
        }
        let counters = self.day(date);
        for (at, draw) in draws.iter().enumerate() {
            match counters.by_name.get(draw.counter.as_str()) {
                Some(counter) if counter.maximum == draw.maximum => {
                    if draw.maximum.is_some() && counter.lease < draw.amount {
                        return Err(Short::Units(at));
                    }
                }
                _ => return Err(Short::Maximum(at)),
            }
        }
        let mut items = Vec::with_capacity(draws.len());
        for draw in draws {
            if let Some(counter) = counters.by_name.get_mut(draw.counter.as_str()) {
                counter.spend(draw.amount);
                list(counter, &mut counters.changed);
                items.push(Item {
                    counter: counter.name.clone(),
                    amount: draw.amount,
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
            counter.untold_spent = counter.untold_spent.saturating_sub(units(item.amount));
            // Units of a lease that is gone may not be spent again under another
            // maximum: they go back to the store.
            if counter.maximum.is_some() && counter.lease_number == item.lease {
                counter.lease = counter.lease.saturating_add(item.amount);
            } else {
                counter.give_back(item.amount);
            }
            list(counter, &mut counters.changed);
        }
    }

    /// Whether a counter is known: this host has charged it today, or looked it
    /// up.
    pub(super) fn knows(&self, date: Date, name: &str) -> bool {
        self.find(date, name).is_some()
    }

    /// Makes a counter that nothing is known of elsewhere.
    pub(super) fn note(&mut self, date: Date, name: &str) {
        entry_of(self.day(date), name);
    }

    /// Prepares a counter for draws under a maximum, and gives what the store
    /// has to be told about it first.
    pub(super) fn begin(
        &mut self,
        date: Date,
        name: &str,
        maximum: Option<u64>,
    ) -> Option<CounterDelta> {
        let counter = entry_of(self.day(date), name);
        counter.end_lease();
        counter.maximum = maximum;
        counter.entry()
    }

    /// Adds units that the store granted.
    pub(super) fn granted(&mut self, date: Date, name: &str, granted: u64) {
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
    pub(super) fn entries(&mut self, date: Date) -> Vec<CounterDelta> {
        let counters = self.day(date);
        let changed = std::mem::take(&mut counters.changed);
        let entry = |name: Arc<str>| {
            let counter = counters.by_name.get_mut(&name)?;
            counter.listed = false;
            counter.entry()
        };
        changed.into_iter().filter_map(entry).collect()
    }

    /// Takes back what the store could not be told.
    pub(super) fn untold(&mut self, date: Date, entries: Vec<CounterDelta>) {
        let counters = self.day(date);
        for entry in entries {
            let counter = entry_of(counters, &entry.counter);
            counter.untold_spent = counter.untold_spent.saturating_add(entry.spent);
            counter.untold_taken = counter.untold_taken.saturating_add(entry.taken);
            let name = entry.counter.as_str();
            if let Some(counter) = counters.by_name.get_mut(name) {
                list(counter, &mut counters.changed);
            }
        }
    }

    /// Ends all leases and lets nothing be charged any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, counters) in &mut self.days {
            for counter in counters.by_name.values_mut() {
                counter.end_lease();
                list(counter, &mut counters.changed);
            }
        }
    }

    /// Notes what the store says. What this host has spent and told is part of
    /// it.
    pub(super) fn seen(&mut self, date: Date, usage: &BTreeMap<String, Usage>) {
        let counters = self.day(date);
        for (name, usage) in usage {
            let counter = entry_of(counters, name);
            let told = i128::from(counter.spent) - i128::from(counter.untold_spent);
            counter.elsewhere = u64::try_from(i128::from(usage.spent) - told).unwrap_or(0);
        }
    }

    /// Forgets all days before this one.
    pub(super) fn forget_before(&mut self, date: Date) {
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

fn entry_of<'a>(counters: &'a mut Counters, name: &str) -> &'a mut Counter {
    let name: Arc<str> = name.into();
    counters
        .by_name
        .entry(name.clone())
        .or_insert_with(|| Counter::new(name))
}

/// Notes that the store has to be told about a counter, once.
fn list(counter: &mut Counter, changed: &mut Vec<Arc<str>>) {
    if !counter.listed && (counter.untold_spent != 0 || counter.untold_taken != 0) {
        counter.listed = true;
        changed.push(counter.name.clone());
    }
}

fn units(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
