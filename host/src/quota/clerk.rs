//! The thread that deals with the store on behalf of a ledger.
//!
//! It alone takes leases and changes them, one order after the other, so that
//! no two refills of one counter race and nobody is told "full" while units of
//! that counter are on their way here.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::Date;
use tokio::sync::oneshot;

use super::book::{Book, Short};
use super::{ChargeError, Day, Draw, Receipt};
use crate::store::{Entry, Store, StoreError, Want};

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
        reply: oneshot::Sender<Result<(), Arc<StoreError>>>,
    },
}

pub(super) struct Clerk {
    store: Arc<dyn Store>,
    book: Arc<Mutex<Book>>,
    /// Days whose counters were read from the store.
    read: HashSet<Date>,
    told: Instant,
}

/// The book under its lock. No code that holds it can panic half way through a
/// change.
pub(super) fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clerk {
    pub(super) fn new(store: Arc<dyn Store>, book: Arc<Mutex<Book>>) -> Self {
        Self {
            store,
            book,
            read: HashSet::new(),
            told: Instant::now(),
        }
    }

    /// Serves until the ledger is closed, or gone without having been closed:
    /// then, as in a crash, what is left of the leases stays taken.
    pub(super) fn serve(mut self, orders: &Receiver<Order>) {
        loop {
            let wait = TELL_EVERY.saturating_sub(self.told.elapsed());
            match orders.recv_timeout(wait) {
                Ok(Order::Charge { day, draws, reply }) => self.answer(&day, &draws, reply),
                Ok(Order::Close { reply }) => {
                    lock(&self.book).close();
                    // Nobody listens if the process is about to end anyway.
                    let _ = reply.send(self.tell().map_err(Arc::new));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.told.elapsed() >= TELL_EVERY
                && let Err(error) = self.tell_and_look()
            {
                tracing::warn!(%error, "the counters could not be written; this is tried again every second");
            }
        }
    }

    fn answer(
        &mut self,
        day: &Day,
        draws: &[Draw],
        reply: oneshot::Sender<Result<Receipt, ChargeError>>,
    ) {
        if let Err(Ok(receipt)) = reply.send(self.charge(day, draws)) {
            // Whoever asked is gone: the message was not let through.
            lock(&self.book).refund(receipt);
        }
    }

    fn charge(&mut self, day: &Day, draws: &[Draw]) -> Result<Receipt, ChargeError> {
        self.begin_day(day.date()).map_err(stored)?;
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

    /// Takes units of a counter from the store.
    fn refill(&self, day: &Day, draw: &Draw) -> Result<(), ChargeError> {
        let Some(maximum) = draw.maximum else {
            return Ok(());
        };
        let missing = draw
            .amount
            .saturating_sub(lock(&self.book).leased(day.date(), &draw.counter));
        let want = Want {
            least: missing.max(1),
            share: SHARE,
            most: MOST,
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
    fn begin_lease(&self, date: Date, draw: &Draw) -> Result<(), StoreError> {
        let entry = lock(&self.book).begin(date, &draw.counter, draw.maximum);
        self.enter(date, entry.into_iter().collect())
    }

    /// On the first charge of a day: reads what others did, and forgets the days
    /// that are long over.
    fn begin_day(&mut self, date: Date) -> Result<(), StoreError> {
        if self.read.contains(&date) {
            return Ok(());
        }
        let usage = self.store.usage(date)?;
        lock(&self.book).seen(date, &usage);
        let newest = self.read.iter().all(|other| *other < date);
        self.read.insert(date);
        if newest {
            self.tell()?;
            // Messages that arrived before midnight are still being charged.
            let yesterday = date.saturating_sub(1.day());
            lock(&self.book).forget_before(yesterday);
            self.read.retain(|other| *other >= yesterday);
            self.store.prune(date.saturating_sub(KEPT_DAYS.days()))?;
        }
        Ok(())
    }

    /// Tells the store what was spent and what goes back.
    fn tell(&mut self) -> Result<(), StoreError> {
        self.told = Instant::now();
        let dates = lock(&self.book).dates();
        dates.into_iter().try_for_each(|date| {
            let entries = lock(&self.book).entries(date);
            self.enter(date, entries)
        })
    }

    fn tell_and_look(&mut self) -> Result<(), StoreError> {
        self.tell()?;
        let dates = lock(&self.book).dates();
        dates.into_iter().try_for_each(|date| {
            let usage = self.store.usage(date)?;
            lock(&self.book).seen(date, &usage);
            Ok(())
        })
    }

    fn enter(&self, date: Date, entries: Vec<Entry>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let entered = self.store.enter(date, &entries);
        if entered.is_err() {
            lock(&self.book).untold(date, entries);
        }
        entered
    }
}

fn stored(error: StoreError) -> ChargeError {
    ChargeError::Store(Arc::new(error))
}
