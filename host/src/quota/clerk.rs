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

use super::book::{Book, Short};
use super::{ChargeError, Day, Draw, Receipt};
use crate::decision::{DEFAULT_ROUTE_COUNTER, RELAY_COUNTERS, is_host_counter};
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, Usage};

/// How often the store is told what was spent, and asked what others spent: what
/// `waxseal quota list` shows is at most this old.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A host takes at most a thirty-second of what is left: what a crash can lose,
/// and what other hosts cannot have meanwhile, is 3 % of it. With 10000 messages
/// left that is 312 at a time; the last 32 are taken one by one.
const SHARE: u64 = 32;

/// More at a time saves nothing any more: at 1000 messages a second this is one
/// write a second.
const MOST: u64 = 1000;

/// Days that the store keeps behind the newest: enough to look last month up.
const KEPT_DAYS: i32 = 31;

/// What a ledger asks of its clerk.
pub(super) enum Order {
    /// Charge what could not be charged from memory.
    Charge {
        day: Day,
        draws: Vec<Draw>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    },
    /// Give back everything and end.
    Close {
        reply: oneshot::Sender<Result<(), Arc<StateError>>>,
    },
}

pub(super) struct Clerk {
    store: Arc<dyn CounterStore>,
    book: Arc<Mutex<Book>>,
    /// The days in use, and how many counters policies have made on each.
    made: HashMap<Date, u64>,
    /// How many they may make in a day.
    new_counters: u64,
    told: Instant,
}

/// The book under its lock. No code that holds it can panic half way through a
/// change.
pub(super) fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clerk {
    pub(super) fn new(
        store: Arc<dyn CounterStore>,
        book: Arc<Mutex<Book>>,
        new_counters: u64,
    ) -> Self {
        Self {
            store,
            book,
            made: HashMap::new(),
            new_counters,
            told: Instant::now(),
        }
    }

    /// Serves until the ledger is closed, or gone without having been closed:
    /// then, as in a crash, what is left of the leases stays taken.
    pub(super) fn serve(mut self, orders: &Receiver<Order>) {
        loop {
            let wait = TELL_EVERY.saturating_sub(self.told.elapsed());
            let done = match orders.recv_timeout(wait) {
                Ok(order) => self.carry_out(order, orders),
                Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_break() || self.tell_in_time(orders).is_break() {
                return;
            }
        }
    }

    /// Tells the store and looks, when it is time to.
    fn tell_in_time(&mut self, orders: &Receiver<Order>) -> ControlFlow<()> {
        if self.told.elapsed() < TELL_EVERY {
            return ControlFlow::Continue(());
        }
        let Err(error) = self.tell_and_look() else {
            return ControlFlow::Continue(());
        };
        tracing::warn!(%error, "the counters could not be written; this is tried again every second");
        self.fail(waiting(orders), &Arc::new(error))
    }

    /// Carries out an order. Breaks when the ledger is closed.
    fn carry_out(&mut self, order: Order, orders: &Receiver<Order>) -> ControlFlow<()> {
        match order {
            Order::Charge { day, draws, reply } => {
                // Whoever asked is gone: the message is not let through.
                if reply.is_closed() {
                    return ControlFlow::Continue(());
                }
                let charged = self.charge(&day, &draws);
                let Err(ChargeError::Store(error)) = &charged else {
                    self.answer(charged, reply);
                    return ControlFlow::Continue(());
                };
                let error = Arc::clone(error);
                // Before anybody hears of it: who asks from then on may be luckier.
                let waiting = waiting(orders);
                self.answer(charged, reply);
                self.fail(waiting, &error)
            }
            Order::Close { reply } => self.close(reply),
        }
    }

    /// Answers all that wait, once the store has failed: each of them trying it
    /// again would let the last wait for the patience of all. What can be charged
    /// from memory is charged.
    fn fail(&mut self, waiting: Vec<Order>, error: &Arc<StateError>) -> ControlFlow<()> {
        for order in waiting {
            match order {
                Order::Charge { day, draws, reply } => {
                    let charged = lock(&self.book).charge(day.date(), &draws);
                    let failed = |_| ChargeError::Store(Arc::clone(error));
                    self.answer(charged.map_err(failed), reply);
                }
                Order::Close { reply } => return self.close(reply),
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, reply: oneshot::Sender<Result<(), Arc<StateError>>>) -> ControlFlow<()> {
        lock(&self.book).close();
        // Nobody listens if the process is about to end anyway.
        let _ = reply.send(self.tell().map_err(Arc::new));
        ControlFlow::Break(())
    }

    fn answer(
        &self,
        charged: Result<Receipt, ChargeError>,
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    ) {
        if let Err(Ok(receipt)) = reply.send(charged) {
            // Whoever asked is gone: the message was not let through.
            lock(&self.book).refund(receipt);
        }
    }

    pub(super) fn charge(&mut self, day: &Day, draws: &[Draw]) -> Result<Receipt, ChargeError> {
        self.begin_day(day.date()).map_err(stored)?;
        self.look_up(day.date(), draws)?;
        loop {
            let short = match lock(&self.book).charge(day.date(), draws) {
                Ok(receipt) => return Ok(receipt),
                Err(short) => short,
            };
            match short {
                Short::Units(at) => self.refill(day, &draws[at])?,
                Short::Maximum(at) => self.begin_lease(day.date(), &draws[at]).map_err(stored)?,
                Short::Closed => return Err(ChargeError::Closed),
            }
        }
    }

    /// Brings counters into the book that are not in it: those that there are in
    /// the store, and new ones as long as there may be more of them.
    fn look_up(&mut self, date: Date, draws: &[Draw]) -> Result<(), ChargeError> {
        let names = draws.iter().map(|draw| draw.counter.as_str());
        let unknown: Vec<&str> = {
            let book = lock(&self.book);
            names.filter(|name| !book.knows(date, name)).collect()
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
        let mut book = lock(&self.book);
        book.seen(date, &found);
        unknown.iter().for_each(|name| book.note(date, name));
        Ok(())
    }

    /// Takes units of a counter from the store.
    fn refill(&self, day: &Day, draw: &Draw) -> Result<(), ChargeError> {
        let Some(maximum) = draw.maximum else {
            return Ok(());
        };
        let missing = draw
            .amount
            .saturating_sub(lock(&self.book).leased(day.date(), &draw.counter));
        let want = LeaseRequest {
            minimum: missing.max(1),
            divisor: SHARE,
            cap: MOST,
        };
        let granted = self
            .store
            .take(day.date(), &draw.counter, want, maximum)
            .map_err(stored)?;
        let mut book = lock(&self.book);
        book.granted(day.date(), &draw.counter, granted);
        // Without a grant, somebody may have been refunded meanwhile.
        if granted == 0 && book.leased(day.date(), &draw.counter) < draw.amount {
            return Err(ChargeError::Full {
                counter: draw.counter.clone(),
                maximum,
                starts_afresh: day.starts_afresh(),
            });
        }
        Ok(())
    }

    /// Begins a lease under another maximum; what is left of the old one goes
    /// back first, so that it is not spent under the new.
    fn begin_lease(&self, date: Date, draw: &Draw) -> Result<(), StateError> {
        let entry = lock(&self.book).begin(date, &draw.counter, draw.maximum);
        self.enter(date, entry.into_iter().collect())
    }

    /// On the first charge of a day: reads what others did, and forgets the days
    /// that are long over. What fails is done at the next charge.
    fn begin_day(&mut self, date: Date) -> Result<(), StateError> {
        if self.made.contains_key(&date) {
            return Ok(());
        }
        let own = self.read_own(date)?;
        let all = self.store.count(date)?;
        if self.made.keys().all(|other| *other < date) {
            self.tell()?;
            // Messages that arrived before midnight are still being charged.
            let yesterday = date.saturating_sub(1.day());
            lock(&self.book).forget_before(yesterday);
            self.made.retain(|other, _| *other >= yesterday);
            self.store.prune(date.saturating_sub(KEPT_DAYS.days()))?;
        }
        self.made.insert(date, all.saturating_sub(own));
        Ok(())
    }

    /// Reads the host's own counters: those that [`Ledger::used`] is asked for.
    /// Gives how many there are.
    ///
    /// [`Ledger::used`]: super::Ledger::used
    pub(super) fn read_own(&self, date: Date) -> Result<u64, StateError> {
        let mut usage: BTreeMap<String, Usage> =
            self.store.usage_with_prefix(date, RELAY_COUNTERS)?;
        usage.extend(self.store.usage_of(date, &[DEFAULT_ROUTE_COUNTER])?);
        lock(&self.book).seen(date, &usage);
        Ok(usage.len() as u64)
    }

    /// Tells the store what was spent and what goes back.
    fn tell(&mut self) -> Result<(), StateError> {
        let dates = lock(&self.book).dates();
        let told = dates.into_iter().try_for_each(|date| {
            let entries = lock(&self.book).entries(date);
            self.enter(date, entries)
        });
        // Counted from its end: it may have waited for long.
        self.told = Instant::now();
        told
    }

    pub(super) fn tell_and_look(&mut self) -> Result<(), StateError> {
        self.tell()?;
        let dates = lock(&self.book).dates();
        dates
            .into_iter()
            .try_for_each(|date| self.read_own(date).map(drop))
    }

    fn enter(&self, date: Date, entries: Vec<CounterDelta>) -> Result<(), StateError> {
        if entries.is_empty() {
            return Ok(());
        }
        let entered = self.store.apply(date, &entries);
        if entered.is_err() {
            lock(&self.book).untold(date, entries);
        }
        entered
    }
}

fn stored(error: StateError) -> ChargeError {
    ChargeError::Store(Arc::new(error))
}

/// The orders that have come by now.
fn waiting(orders: &Receiver<Order>) -> Vec<Order> {
    orders.try_iter().collect()
}
