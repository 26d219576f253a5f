//! Charges that count.

use std::borrow::Cow;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::oneshot;

use super::counter_cache::{CounterCache, Shortfall};
use super::lease_worker::{Command, LeaseWorker, lock};
use super::{Charge, ChargeError, ChargeRequest, Day, Ledger, LedgerError, Receipt};
use crate::state::{CounterStore, StateError};

/// Charges from units taken from the store beforehand.
///
/// A charge that finds its units in memory takes a lock for some hundred
/// nanoseconds and touches no disk. Otherwise it waits for the clerk, a thread
/// that deals with the store. Dropping a ledger that was not
/// [closed](LeasedLedger::close) is as good as a crash: units that were taken and not
/// spent are lost for the day, and no maximum is exceeded.
#[derive(Debug)]
pub struct LeasedLedger {
    cache: Arc<Mutex<CounterCache>>,
    commands: Sender<Command>,
}

impl LeasedLedger {
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
        let cache = Arc::new(Mutex::new(CounterCache::default()));
        let worker = LeaseWorker::new(store, cache.clone(), new_counters);
        worker.read_host_counters(today.date())?;
        let (commands, received) = mpsc::channel();
        thread::Builder::new()
            .name("counters".to_owned())
            .spawn(move || worker.serve(&received))
            .map_err(LedgerError::Thread)?;
        Ok(Self { cache, commands })
    }

    /// Gives back what is left and tells the store everything. Nothing can be
    /// charged afterwards.
    ///
    /// # Errors
    ///
    /// When the store could not be told: then unspent units stay taken.
    pub async fn close(&self) -> Result<(), Arc<StateError>> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).is_err() {
            return Ok(());
        }
        // No answer: somebody else closed it first.
        answer.await.unwrap_or(Ok(()))
    }
}

impl Ledger for LeasedLedger {
    fn charge(&self, day: &Day, requests: &[ChargeRequest]) -> Charge {
        let requests = merged(requests);
        // In a statement of its own: the lock must not outlive it.
        let charged = lock(&self.cache).charge(day.date(), &requests);
        match charged {
            Ok(receipt) => return Charge::ready(Ok(receipt)),
            Err(Shortfall::Closed) => return Charge::ready(Err(ChargeError::Closed)),
            Err(Shortfall::Units(_) | Shortfall::Maximum(_)) => {}
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Charge {
            day: *day,
            requests: requests.into_owned(),
            reply,
        };
        match self.commands.send(command) {
            Ok(()) => Charge::pending(async { answer.await.unwrap_or(Err(ChargeError::Closed)) }),
            Err(_) => Charge::ready(Err(ChargeError::Closed)),
        }
    }

    fn refund(&self, receipt: Receipt) {
        lock(&self.cache).refund(receipt);
    }

    fn used(&self, day: &Day, counter: &str) -> u64 {
        lock(&self.cache).used(day.date(), counter)
    }
}

/// Each counter once: of two requests on one counter, the amounts together under
/// the lower maximum.
pub(super) fn merged(requests: &[ChargeRequest]) -> Cow<'_, [ChargeRequest]> {
    let twice = |at: usize| {
        requests[..at]
            .iter()
            .any(|earlier| earlier.counter == requests[at].counter)
    };
    if !(1..requests.len()).any(twice) {
        return Cow::Borrowed(requests);
    }
    let mut merged: Vec<ChargeRequest> = Vec::with_capacity(requests.len());
    for request in requests {
        match merged
            .iter_mut()
            .find(|earlier| earlier.counter == request.counter)
        {
            None => merged.push(request.clone()),
            Some(earlier) => {
                earlier.amount = earlier.amount.saturating_add(request.amount);
                earlier.maximum = match (earlier.maximum, request.maximum) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
    Cow::Owned(merged)
}
