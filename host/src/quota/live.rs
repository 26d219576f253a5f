//! Charges that count.

use std::borrow::Cow;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::oneshot;

use super::book::{Book, Short};
use super::clerk::{Clerk, Order, lock};
use super::{Charge, ChargeError, Day, Draw, Ledger, LedgerError, Receipt};
use crate::state::{CounterStore, StateError};

/// Charges from units taken from the store beforehand.
///
/// A charge that finds its units in memory takes a lock for some hundred
/// nanoseconds and touches no disk. Otherwise it waits for the clerk, a thread
/// that deals with the store. Dropping a ledger that was not
/// [closed](Live::close) is as good as a crash: units that were taken and not
/// spent are lost for the day, and no maximum is exceeded.
#[derive(Debug)]
pub struct Live {
    book: Arc<Mutex<Book>>,
    orders: Sender<Order>,
}

impl Live {
    /// Opens a ledger over a store, and reads what it says of today.
    /// `new_counters` are the most that policies may make in a day
    /// (`limits.new-counters`).
    ///
    /// # Errors
    ///
    /// When the store does not serve, or no thread can be started.
    pub fn open(
        store: Arc<dyn CounterStore>,
        today: &Day,
        new_counters: u64,
    ) -> Result<Self, LedgerError> {
        let book = Arc::new(Mutex::new(Book::default()));
        let clerk = Clerk::new(store, book.clone(), new_counters);
        clerk.read_own(today.date())?;
        let (orders, received) = mpsc::channel();
        thread::Builder::new()
            .name("counters".to_owned())
            .spawn(move || clerk.serve(&received))
            .map_err(LedgerError::Thread)?;
        Ok(Self { book, orders })
    }

    /// Gives back what is left and tells the store everything. Nothing can be
    /// charged afterwards.
    ///
    /// # Errors
    ///
    /// When the store could not be told: then unspent units stay taken.
    pub async fn close(&self) -> Result<(), Arc<StateError>> {
        let (reply, answer) = oneshot::channel();
        if self.orders.send(Order::Close { reply }).is_err() {
            return Ok(());
        }
        // No answer: somebody else closed it first.
        answer.await.unwrap_or(Ok(()))
    }
}

impl Ledger for Live {
    fn charge(&self, day: &Day, draws: &[Draw]) -> Charge {
        let draws = merged(draws);
        // In a statement of its own: the lock must not outlive it.
        let charged = lock(&self.book).charge(day.date(), &draws);
        match charged {
            Ok(receipt) => return Charge::ready(Ok(receipt)),
            Err(Short::Closed) => return Charge::ready(Err(ChargeError::Closed)),
            Err(Short::Units(_) | Short::Maximum(_)) => {}
        }
        let (reply, answer) = oneshot::channel();
        let order = Order::Charge {
            day: *day,
            draws: draws.into_owned(),
            reply,
        };
        match self.orders.send(order) {
            Ok(()) => Charge::pending(async { answer.await.unwrap_or(Err(ChargeError::Closed)) }),
            Err(_) => Charge::ready(Err(ChargeError::Closed)),
        }
    }

    fn refund(&self, receipt: Receipt) {
        lock(&self.book).refund(receipt);
    }

    fn used(&self, day: &Day, counter: &str) -> u64 {
        lock(&self.book).used(day.date(), counter)
    }
}

/// Each counter once: of two draws on one counter, the amounts together under
/// the lower maximum.
pub(super) fn merged(draws: &[Draw]) -> Cow<'_, [Draw]> {
    let twice = |at: usize| {
        draws[..at]
            .iter()
            .any(|earlier| earlier.counter == draws[at].counter)
    };
    if !(1..draws.len()).any(twice) {
        return Cow::Borrowed(draws);
    }
    let mut merged: Vec<Draw> = Vec::with_capacity(draws.len());
    for draw in draws {
        match merged
            .iter_mut()
            .find(|earlier| earlier.counter == draw.counter)
        {
            None => merged.push(draw.clone()),
            Some(earlier) => {
                earlier.amount = earlier.amount.saturating_add(draw.amount);
                earlier.maximum = match (earlier.maximum, draw.maximum) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
    Cow::Owned(merged)
}
