//! The ledger of the daemon.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::oneshot;

use super::counter_cache::{CounterCache, Shortfall};
use super::lease_worker::{Command, LeaseWorker, lock};
use super::request::merged;
use super::{Charge, ChargeError, ChargeRequest, Day, Ledger, LedgerError, Receipt};
use crate::state::{CounterStore, StateError};

/// Charges from units leased from the store beforehand.
///
/// A charge that finds its units in memory takes a lock for some hundred
/// nanoseconds and touches no disk. Other charges wait for the lease worker, the
/// thread that calls the store. Dropping a ledger without
/// [closing](LeasedLedger::close) it has the effect of a crash: leased units that
/// were not spent are lost for the day, and no limit is exceeded.
#[derive(Debug)]
pub struct LeasedLedger {
    cache: Arc<Mutex<CounterCache>>,
    commands: Sender<Command>,
}

impl LeasedLedger {
    /// Opens a ledger over a store and reads today's counters. Policies may create
    /// `new_counters` counters in a day (`limits.new-counters`).
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or no thread can be started.
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

    /// Returns unspent units to the store and writes all changes. Nothing can be
    /// charged afterwards.
    ///
    /// # Errors
    ///
    /// When the store cannot be written. Unspent units stay taken then.
    pub async fn close(&self) -> Result<(), Arc<StateError>> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).is_err() {
            return Ok(());
        }
        // No answer: another call closed it first.
        answer.await.unwrap_or(Ok(()))
    }
}

impl Ledger for LeasedLedger {
    fn charge(&self, day: &Day, requests: &[ChargeRequest]) -> Charge {
        let requests = merged(requests);
        // A separate statement, so that the lock is released here.
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
