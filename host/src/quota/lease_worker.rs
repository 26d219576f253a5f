//! The thread that deals with the store on behalf of a ledger.
//!
//! It alone takes leases and changes them, one order after the other, so that
//! no two refills of one counter race and nobody is told "full" while units of
//! that counter are on their way here.

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
use crate::decision::{DEFAULT_ROUTE_COUNTER, RELAY_COUNTERS, is_host_counter};
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, Usage};

/// How often the store is told what was spent, and asked what others spent: what
/// `waxseal quota list` shows is at most this old.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A host takes at most a thirty-second of what is left: what a crash can lose,
/// and what other hosts cannot have meanwhile, is 3 % of it. With 10000 messages
/// left that is 312 at a time; the last 32 are taken one by one.
const LEASE_DIVISOR: u64 = 32;

/// More at a time saves nothing any more: at 1000 messages a second this is one
/// write a second.
const LEASE_CAP: u64 = 1000;

/// Days that the store keeps behind the newest: enough to look last month up.
const RETENTION_DAYS: i32 = 31;

/// What a ledger asks of its clerk.
pub(super) enum Command {
    /// Charge what could not be charged from memory.
    Charge {
        day: Day,
        requests: Vec<ChargeRequest>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    },
    /// Give back everything and end.
    Close {
        reply: oneshot::Sender<Result<(), Arc<StateError>>>,
    },
}

pub(super) struct LeaseWorker {
    store: Arc<dyn CounterStore>,
    cache: Arc<Mutex<CounterCache>>,
    /// The days in use, and how many counters policies have made on each.
    made: HashMap<Date, u64>,
    /// How many they may make in a day.
    new_counters: u64,
    synced_at: Instant,
}

/// The book under its lock. No code that holds it can panic half way through a
/// change.
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

    /// Serves until the ledger is closed, or gone without having been closed:
    /// then, as in a crash, what is left of the leases stays taken.
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

    /// Tells the store and looks, when it is time to.
    fn sync_if_due(&mut self, commands: &Receiver<Command>) -> ControlFlow<()> {
        if self.synced_at.elapsed() < SYNC_INTERVAL {
            return ControlFlow::Continue(());
        }
        let Err(error) = self.sync() else {
            return ControlFlow::Continue(());
        };
        tracing::warn!(%error, "the counters could not be written; this is tried again every second");
        self.fail(waiting(commands), &Arc::new(error))
    }

    /// Carries out an order. Breaks when the ledger is closed.
    fn handle(&mut self, command: Command, commands: &Receiver<Command>) -> ControlFlow<()> {
        match command {
            Command::Charge {
                day,
                requests,
                reply,
            } => {
                // Whoever asked is gone: the message is not let through.
                if reply.is_closed() {
                    return ControlFlow::Continue(());
                }
                let charged = self.charge(&day, &requests);
                let Err(ChargeError::Store(error)) = &charged else {
                    self.answer(charged, reply);
                    return ControlFlow::Continue(());
                };
                let error = Arc::clone(error);
                // Before anybody hears of it: who asks from then on may be luckier.
                let waiting = waiting(commands);
                self.answer(charged, reply);
                self.fail(waiting, &error)
            }
            Command::Close { reply } => self.close(reply),
        }
    }

    /// Answers all that wait, once the store has failed: each of them trying it
    /// again would let the last wait for the patience of all. What can be charged
    /// from memory is charged.
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
        // Nobody listens if the process is about to end anyway.
        let _ = reply.send(self.flush().map_err(Arc::new));
        ControlFlow::Break(())
    }

    fn answer(
        &self,
        charged: Result<Receipt, ChargeError>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    ) {
        if let Err(Ok(receipt)) = reply.send(charged) {
            // Whoever asked is gone: the message was not let through.
            lock(&self.cache).refund(receipt);
        }
    }

    pub(super) fn charge(
        &mut self,
        day: &Day,
        requests: &[ChargeRequest],
    ) -> Result<Receipt, ChargeError> {
        self.start_day(day.date()).map_err(stored)?;
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
                    .map_err(stored)?,
                Shortfall::Closed => return Err(ChargeError::Closed),
            }
        }
    }

    /// Brings counters into the book that are not in it: those that there are in
    /// the store, and new ones as long as there may be more of them.
    fn load_unknown(&mut self, date: Date, requests: &[ChargeRequest]) -> Result<(), ChargeError> {
        let names = requests.iter().map(|request| request.counter.as_str());
        let unknown: Vec<&str> = {
            let cache = lock(&self.cache);
            names.filter(|name| !cache.contains(date, name)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.store.usage_of(date, &unknown).map_err(stored)?;
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

    /// Takes units of a counter from the store.
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
            .map_err(stored)?;
        let mut cache = lock(&self.cache);
        cache.add_grant(day.date(), &request.counter, granted);
        // Without a grant, somebody may have been refunded meanwhile.
        if granted == 0 && cache.leased(day.date(), &request.counter) < request.amount {
            return Err(ChargeError::Full {
                counter: request.counter.clone(),
                maximum,
                resets_at: day.resets_at(),
            });
        }
        Ok(())
    }

    /// Begins a lease under another maximum; what is left of the old one goes
    /// back first, so that it is not spent under the new.
    fn start_lease(&self, date: Date, request: &ChargeRequest) -> Result<(), StateError> {
        let entry = lock(&self.cache).start_lease(date, &request.counter, request.maximum);
        self.enter(date, entry.into_iter().collect())
    }

    /// On the first charge of a day: reads what others did, and forgets the days
    /// that are long over. What fails is done at the next charge.
    fn start_day(&mut self, date: Date) -> Result<(), StateError> {
        if self.made.contains_key(&date) {
            return Ok(());
        }
        let own = self.read_host_counters(date)?;
        let all = self.store.count(date)?;
        if self.made.keys().all(|other| *other < date) {
            self.flush()?;
            // Messages that arrived before midnight are still being charged.
            let yesterday = date.saturating_sub(1.day());
            lock(&self.cache).prune(yesterday);
            self.made.retain(|other, _| *other >= yesterday);
            self.store
                .prune(date.saturating_sub(RETENTION_DAYS.days()))?;
        }
        self.made.insert(date, all.saturating_sub(own));
        Ok(())
    }

    /// Reads the host's own counters: those that [`Ledger::used`] is asked for.
    /// Gives how many there are.
    ///
    /// [`Ledger::used`]: super::Ledger::used
    pub(super) fn read_host_counters(&self, date: Date) -> Result<u64, StateError> {
        let mut usage: BTreeMap<String, Usage> =
            self.store.usage_with_prefix(date, RELAY_COUNTERS)?;
        usage.extend(self.store.usage_of(date, &[DEFAULT_ROUTE_COUNTER])?);
        lock(&self.cache).update_usage(date, &usage);
        Ok(usage.len() as u64)
    }

    /// Tells the store what was spent and what goes back.
    fn flush(&mut self) -> Result<(), StateError> {
        let dates = lock(&self.cache).dates();
        let told = dates.into_iter().try_for_each(|date| {
            let entries = lock(&self.cache).take_deltas(date);
            self.enter(date, entries)
        });
        // Counted from its end: it may have waited for long.
        self.synced_at = Instant::now();
        told
    }

    pub(super) fn sync(&mut self) -> Result<(), StateError> {
        self.flush()?;
        let dates = lock(&self.cache).dates();
        dates
            .into_iter()
            .try_for_each(|date| self.read_host_counters(date).map(drop))
    }

    fn enter(&self, date: Date, entries: Vec<CounterDelta>) -> Result<(), StateError> {
        if entries.is_empty() {
            return Ok(());
        }
        let entered = self.store.apply(date, &entries);
        if entered.is_err() {
            lock(&self.cache).restore_deltas(date, entries);
        }
        entered
    }
}

fn stored(error: StateError) -> ChargeError {
    ChargeError::Store(Arc::new(error))
}

/// The orders that have come by now.
fn waiting(commands: &Receiver<Command>) -> Vec<Command> {
    commands.try_iter().collect()
}
