//! The thread that calls the store for a ledger.
//!
//! Only this thread takes and changes leases, one command at a time: two refills
//! of one counter cannot race, and no charge fails as full while units of its
//! counter are being leased.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::Date;
use tokio::sync::oneshot;

use super::counter_cache::{CounterCache, Shortfall};
use super::{ChargeError, ChargeRequest, Day, Receipt};
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, Usage};
use waxseal_core::decision::{DEFAULT_ROUTE_COUNTER, RELAY_COUNTERS, is_host_counter};

/// Interval at which charges are written to the store and those of other
/// processes are read: the counters in the store are at most this old.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A lease is at most a thirty-second of what is left: a crash loses at most 3 %
/// of it, and other hosts can use the rest. With 10000 messages left, a lease has
/// 312; the last 32 are leased one by one.
const LEASE_DIVISOR: u64 = 32;

/// Largest lease. At 1000 messages a second this is one write a second; larger
/// leases save nothing.
const LEASE_CAP: u64 = 1000;

/// Days that the store keeps in addition to the newest one.
const RETENTION_DAYS: i32 = 31;

/// A command of the ledger to its worker.
pub(super) enum Command {
    /// Charge what cannot be charged from memory.
    Charge {
        day: Day,
        requests: Vec<ChargeRequest>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    },
    /// Return all leases and stop.
    Close {
        reply: oneshot::Sender<Result<(), Arc<StateError>>>,
    },
}

pub(super) struct LeaseWorker {
    store: Arc<dyn CounterStore>,
    cache: Arc<Mutex<CounterCache>>,
    /// The days in use, and how many counters policies created on each.
    made: HashMap<Date, u64>,
    /// How many they may create in a day.
    new_counters: u64,
    synced_at: Instant,
}

/// Locks the cache. No code that holds the lock panics in the middle of a change,
/// so a poisoned lock is used as it is.
pub(super) fn lock(cache: &Mutex<CounterCache>) -> MutexGuard<'_, CounterCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LeaseWorker {
    pub(super) fn new(
        store: Arc<dyn CounterStore>,
        cache: Arc<Mutex<CounterCache>>,
        new_counters: u64,
    ) -> Self {
        Self {
            store,
            cache,
            made: HashMap::new(),
            new_counters,
            synced_at: Instant::now(),
        }
    }

    /// Runs until the ledger is closed, or dropped: then, as in a crash, unspent
    /// units stay taken.
    pub(super) fn serve(mut self, commands: &Receiver<Command>) {
        loop {
            let wait = SYNC_INTERVAL.saturating_sub(self.synced_at.elapsed());
            let done = match commands.recv_timeout(wait) {
                Ok(command) => self.handle(command, commands),
                Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_break() || self.sync_if_due(commands).is_break() {
                return;
            }
        }
    }

    /// Synchronizes with the store when the interval has passed.
    fn sync_if_due(&mut self, commands: &Receiver<Command>) -> ControlFlow<()> {
        if self.synced_at.elapsed() < SYNC_INTERVAL {
            return ControlFlow::Continue(());
        }
        let Err(error) = self.sync() else {
            return ControlFlow::Continue(());
        };
        tracing::warn!(%error, "cannot write the counters; retrying every second");
        self.fail(waiting(commands), &Arc::new(error))
    }

    /// Executes a command. Breaks when the ledger is closed.
    fn handle(&mut self, command: Command, commands: &Receiver<Command>) -> ControlFlow<()> {
        match command {
            Command::Charge {
                day,
                requests,
                reply,
            } => {
                // The caller is gone: the message is not accepted.
                if reply.is_closed() {
                    return ControlFlow::Continue(());
                }
                let charged = self.charge(&day, &requests);
                let Err(ChargeError::Store(error)) = &charged else {
                    self.answer(charged, reply);
                    return ControlFlow::Continue(());
                };
                let error = Arc::clone(error);
                // Collected before the reply: a later charge tries the store again.
                let waiting = waiting(commands);
                self.answer(charged, reply);
                self.fail(waiting, &error)
            }
            Command::Close { reply } => self.close(reply),
        }
    }

    /// Fails all waiting charges after the store failed: if each tried again, the
    /// last would wait for the timeouts of all. Those that can be charged from
    /// memory are charged.
    fn fail(&mut self, waiting: Vec<Command>, error: &Arc<StateError>) -> ControlFlow<()> {
        for command in waiting {
            match command {
                Command::Charge {
                    day,
                    requests,
                    reply,
                } => {
                    let charged = lock(&self.cache).charge(day.date(), &requests);
                    let failed = |_| ChargeError::Store(Arc::clone(error));
                    self.answer(charged.map_err(failed), reply);
                }
                Command::Close { reply } => return self.close(reply),
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, reply: oneshot::Sender<Result<(), Arc<StateError>>>) -> ControlFlow<()> {
        lock(&self.cache).close();
        // The receiver can be gone when the process ends.
        let _ = reply.send(self.flush().map_err(Arc::new));
        ControlFlow::Break(())
    }

    fn answer(
        &self,
        charged: Result<Receipt, ChargeError>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    ) {
        if let Err(Ok(receipt)) = reply.send(charged) {
            // The caller is gone: the message was not accepted.
            lock(&self.cache).refund(receipt);
        }
    }

    pub(super) fn charge(
        &mut self,
        day: &Day,
        requests: &[ChargeRequest],
    ) -> Result<Receipt, ChargeError> {
        self.start_day(day.date()).map_err(state_error)?;
        self.load_unknown(day.date(), requests)?;
        loop {
            let short = match lock(&self.cache).charge(day.date(), requests) {
                Ok(receipt) => return Ok(receipt),
                Err(short) => short,
            };
            match short {
                Shortfall::Units(at) => self.refill(day, &requests[at])?,
                Shortfall::Maximum(at) => self
                    .start_lease(day.date(), &requests[at])
                    .map_err(state_error)?,
                Shortfall::Closed => return Err(ChargeError::Closed),
            }
        }
    }

    /// Loads counters that are not in the cache from the store, and creates those
    /// that do not exist as far as the limit of new counters allows.
    fn load_unknown(&mut self, date: Date, requests: &[ChargeRequest]) -> Result<(), ChargeError> {
        let names = requests.iter().map(|request| request.counter.as_str());
        let unknown: Vec<&str> = {
            let cache = lock(&self.cache);
            names.filter(|name| !cache.contains(date, name)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.store.usage_of(date, &unknown).map_err(state_error)?;
        let is_new = |name: &&&str| !found.contains_key(**name) && !is_host_counter(name);
        let new: Vec<&&str> = unknown.iter().filter(is_new).collect();
        let made = self.made.entry(date).or_default();
        let all = made.saturating_add(new.len() as u64);
        if let Some(counter) = new.first().filter(|_| all > self.new_counters) {
            return Err(ChargeError::TooManyCounters {
                counter: (**counter).to_owned(),
                limit: self.new_counters,
            });
        }
        *made = all;
        let mut cache = lock(&self.cache);
        cache.update_usage(date, &found);
        unknown.iter().for_each(|name| cache.insert(date, name));
        Ok(())
    }

    /// Leases units of a counter from the store.
    fn refill(&self, day: &Day, request: &ChargeRequest) -> Result<(), ChargeError> {
        let Some(maximum) = request.maximum else {
            return Ok(());
        };
        let missing = request
            .amount
            .saturating_sub(lock(&self.cache).leased(day.date(), &request.counter));
        let want = LeaseRequest {
            minimum: missing.max(1),
            divisor: LEASE_DIVISOR,
            cap: LEASE_CAP,
        };
        let granted = self
            .store
            .take(day.date(), &request.counter, want, maximum)
            .map_err(state_error)?;
        let mut cache = lock(&self.cache);
        cache.add_grant(day.date(), &request.counter, granted);
        // Without a grant, a refund may have added units meanwhile.
        if granted == 0 && cache.leased(day.date(), &request.counter) < request.amount {
            return Err(ChargeError::Full {
                counter: request.counter.clone(),
                maximum,
                resets_at: day.resets_at(),
            });
        }
        Ok(())
    }

    /// Starts a lease under another maximum. Units of the old lease are returned
    /// first, so that they are not spent under the new one.
    fn start_lease(&self, date: Date, request: &ChargeRequest) -> Result<(), StateError> {
        let delta = lock(&self.cache).start_lease(date, &request.counter, request.maximum);
        self.write(date, delta.into_iter().collect())
    }

    /// On the first charge of a day: reads the charges of other processes and prunes
    /// old days. After a failure, the next charge tries again.
    fn start_day(&mut self, date: Date) -> Result<(), StateError> {
        if self.made.contains_key(&date) {
            return Ok(());
        }
        let own = self.read_host_counters(date)?;
        let all = self.store.count(date)?;
        if self.made.keys().all(|other| *other < date) {
            self.flush()?;
            // Messages that arrived before midnight can still be charged.
            let yesterday = date.saturating_sub(1.day());
            lock(&self.cache).prune(yesterday);
            self.made.retain(|other, _| *other >= yesterday);
            self.store
                .prune(date.saturating_sub(RETENTION_DAYS.days()))?;
        }
        self.made.insert(date, all.saturating_sub(own));
        Ok(())
    }

    /// Reads the host's own counters, which [`Ledger::used`] needs. Returns their
    /// number.
    ///
    /// [`Ledger::used`]: super::Ledger::used
    pub(super) fn read_host_counters(&self, date: Date) -> Result<u64, StateError> {
        let mut usage: BTreeMap<String, Usage> =
            self.store.usage_with_prefix(date, RELAY_COUNTERS)?;
        usage.extend(self.store.usage_of(date, &[DEFAULT_ROUTE_COUNTER])?);
        lock(&self.cache).update_usage(date, &usage);
        Ok(usage.len() as u64)
    }

    /// Writes all changes to the store.
    fn flush(&mut self) -> Result<(), StateError> {
        let dates = lock(&self.cache).dates();
        let written = dates.into_iter().try_for_each(|date| {
            let deltas = lock(&self.cache).take_deltas(date);
            self.write(date, deltas)
        });
        // Measured from the end: writing may have waited for a lock.
        self.synced_at = Instant::now();
        written
    }

    pub(super) fn sync(&mut self) -> Result<(), StateError> {
        self.flush()?;
        let dates = lock(&self.cache).dates();
        dates
            .into_iter()
            .try_for_each(|date| self.read_host_counters(date).map(drop))
    }

    fn write(&self, date: Date, deltas: Vec<CounterDelta>) -> Result<(), StateError> {
        if deltas.is_empty() {
            return Ok(());
        }
        let written = self.store.apply(date, &deltas);
        if written.is_err() {
            lock(&self.cache).restore_deltas(date, deltas);
        }
        written
    }
}

fn state_error(error: StateError) -> ChargeError {
    ChargeError::Store(Arc::new(error))
}

/// The commands received so far.
fn waiting(commands: &Receiver<Command>) -> Vec<Command> {
    commands.try_iter().collect()
}
