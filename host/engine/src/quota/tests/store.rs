//! A slow, locked or failing store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::support::*;
use crate::quota::*;
use crate::state::sqlite::SqliteCounters;
use crate::state::sqlite::tests::SqliteFolder;
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, StateErrorKind, Usage};
/// A store that counts what is read of it and how often it is tried. While it is
/// held, each try waits for the gate, and fails if the store is locked.
#[derive(Debug, Default)]
struct Watched {
    read: AtomicU64,
    tried: AtomicU64,
    held: AtomicBool,
    locked: AtomicBool,
    open: Mutex<bool>,
    opened: Condvar,
    usage: Mutex<BTreeMap<String, Usage>>,
}

impl Watched {
    fn hold(&self, locked: bool) {
        self.locked.store(locked, Ordering::SeqCst);
        self.held.store(true, Ordering::SeqCst);
    }

    fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    fn open_gate(&self) {
        *self.open.lock().expect("lock") = true;
        self.opened.notify_all();
    }

    fn tried(&self) -> u64 {
        self.tried.load(Ordering::SeqCst)
    }

    fn try_to_write(&self) -> Result<(), StateError> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if !self.held.load(Ordering::SeqCst) {
            return Ok(());
        }
        let open = self.open.lock().expect("lock");
        let _open = self.opened.wait_while(open, |open| !*open).expect("lock");
        match self.locked.load(Ordering::SeqCst) {
            true => Err(StateError::new("test", StateErrorKind::Busy, "locked")),
            false => Ok(()),
        }
    }

    fn found(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Usage> {
        let usage = self.usage.lock().expect("lock");
        let found = usage.iter().filter(|(name, _)| wanted(name));
        let found: BTreeMap<_, _> = found.map(|(name, usage)| (name.clone(), *usage)).collect();
        self.read.fetch_add(found.len() as u64, Ordering::SeqCst);
        found
    }
}

impl CounterStore for Watched {
    fn take(
        &self,
        _: Date,
        counter: &str,
        request: LeaseRequest,
        maximum: u64,
    ) -> Result<u64, StateError> {
        self.try_to_write()?;
        let mut usage = self.usage.lock().expect("lock");
        let usage = usage.entry(counter.to_owned()).or_default();
        let granted = request.grant(maximum.saturating_sub(usage.taken));
        usage.taken += granted;
        Ok(granted)
    }

    fn apply(&self, _: Date, entries: &[CounterDelta]) -> Result<(), StateError> {
        self.try_to_write()?;
        let mut usage = self.usage.lock().expect("lock");
        for entry in entries {
            let usage = usage.entry(entry.counter.clone()).or_default();
            usage.spent = usage.spent.saturating_add_signed(entry.spent);
            usage.taken = usage.taken.saturating_add_signed(entry.taken);
        }
        Ok(())
    }

    fn usage(&self, _: Date) -> Result<BTreeMap<String, Usage>, StateError> {
        Ok(self.found(|_| true))
    }

    fn usage_of(&self, _: Date, names: &[&str]) -> Result<BTreeMap<String, Usage>, StateError> {
        Ok(self.found(|name| names.contains(&name)))
    }

    fn usage_with_prefix(
        &self,
        _: Date,
        prefix: &str,
    ) -> Result<BTreeMap<String, Usage>, StateError> {
        Ok(self.found(|name| name.starts_with(prefix)))
    }

    fn count(&self, _: Date) -> Result<u64, StateError> {
        Ok(self.usage.lock().expect("lock").len() as u64)
    }

    fn prune(&self, _: Date) -> Result<(), StateError> {
        Ok(())
    }
}

#[tokio::test]
async fn r12_when_the_store_fails_nothing_is_charged_and_later_it_goes_on() {
    let folder = SqliteFolder::new();
    let store = SqliteCounters::open(&folder.state()).expect("store");
    store
        .connection_for_tests()
        .busy_timeout(Duration::ZERO)
        .expect("pragma");
    let ledger = LeasedLedger::open(Arc::new(store), &today(), PLENTY).expect("ledger");
    let requests = [request("a", 1, 10), request("b", 1, 10)];
    let other = SqliteCounters::open(&folder.state()).expect("store");
    other
        .connection_for_tests()
        .execute_batch("BEGIN IMMEDIATE")
        .expect("held");
    let failed = ledger.charge(&today(), &requests).await;
    assert!(matches!(failed, Err(ChargeError::Store(_))), "{failed:?}");
    assert_eq!(
        (ledger.used(&today(), "a"), ledger.used(&today(), "b")),
        (0, 0)
    );
    other
        .connection_for_tests()
        .execute_batch("ROLLBACK")
        .expect("released");
    assert_eq!(charge_until_the_limit(&ledger, &requests).await, 10);
}

/// 10,000 counters of today are in the store; only the host's own are read each
/// second, and only what has changed is written.
#[test]
fn m6_the_counters_of_a_day_are_not_read_each_second() {
    let store = Arc::new(Watched::default());
    let usage = Usage { taken: 1, spent: 1 };
    let names = (0..10_000).map(|number| format!("message/{number}"));
    let names = names.chain(["relay/north".to_owned()]);
    let all: BTreeMap<_, _> = names.map(|name| (name, usage)).collect();
    *store.usage.lock().expect("lock") = all;
    let cache = Arc::new(Mutex::new(counter_cache::CounterCache::default()));
    let mut worker = lease_worker::LeaseWorker::new(store.clone(), Arc::clone(&cache), 20_000);
    for number in 0..1000 {
        let _ = worker
            .charge(&today(), &new_counter(number))
            .expect("charged");
    }
    worker.sync().expect("synchronized");
    store.read.store(0, Ordering::SeqCst);
    let _ = worker.charge(&today(), &new_counter(7)).expect("charged");
    for _ in 0..60 {
        worker.sync().expect("synchronized");
    }
    let read = store.read.load(Ordering::SeqCst);
    assert_eq!(read, 60, "the relay's, once each time");
    assert_eq!(
        lease_worker::lock(&cache).used(today().date(), "relay/north"),
        1
    );
    // Each day that begins frees those before the one that has just ended.
    let mut day = today();
    for _ in 0..5 {
        day = Day::of(day.resets_at(), &TimeZone::UTC);
        let _ = worker.charge(&day, &new_counter(7)).expect("charged");
        assert!(lease_worker::lock(&cache).dates().len() <= 2);
    }
}

/// 40 messages wait for a store that is locked: one of them tries it, and the
/// clerk may tell what was spent.
#[tokio::test]
async fn l4_a_locked_store_fails_all_that_wait_at_once() {
    let store = Arc::new(Watched::default());
    let ledger = Arc::new(LeasedLedger::open(store.clone(), &today(), PLENTY).expect("ledger"));
    let known = [request("known", 1, None)];
    let _ = ledger.charge(&today(), &known).await.expect("charged");
    store.hold(true);
    let before = store.tried();
    let waiting: Vec<_> = (0..40)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { ledger.charge(&today(), &new_counter(number)).await })
        })
        .collect();
    // On the one thread there is, all of them ask before this goes on.
    tokio::task::yield_now().await;
    store.open_gate();
    for asked in waiting {
        let answer = asked.await.expect("no panic");
        assert!(matches!(answer, Err(ChargeError::Store(_))), "{answer:?}");
    }
    let tried = store.tried() - before;
    assert!(tried <= 3, "it was tried {tried} times for 40 messages");
    let _ = ledger.charge(&today(), &known).await.expect("from memory");
    store.release();
    let _ = ledger
        .charge(&today(), &new_counter(1))
        .await
        .expect("charged");
}

#[tokio::test]
async fn l4_charges_of_callers_that_are_gone_are_skipped() {
    let store = Arc::new(Watched::default());
    let ledger = LeasedLedger::open(store.clone(), &today(), PLENTY).expect("ledger");
    let _ = ledger
        .charge(&today(), &new_counter(0))
        .await
        .expect("charged");
    // The first of them is under way in the store; the others wait.
    store.hold(false);
    let before = store.tried();
    let day = today();
    for number in 1..30 {
        let requests = new_counter(number);
        let asked = tokio::time::timeout(Duration::ZERO, ledger.charge(&day, &requests));
        assert!(asked.await.is_err(), "it waits");
    }
    store.open_gate();
    let _ = ledger
        .charge(&day, &new_counter(30))
        .await
        .expect("charged");
    // Each of the others would have taken units.
    let taken = store.usage.lock().expect("lock").len();
    assert!(taken <= 3, "{taken} counters");
    assert!(store.tried() - before <= 4);
}
