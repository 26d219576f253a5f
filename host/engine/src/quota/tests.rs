use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::*;
use crate::state::conformance::SharedState as _;
use crate::state::sqlite::SqliteCounters;
use crate::state::sqlite::tests::SqliteFolder;
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, StateErrorKind, Usage};

/// New counters a day, where there are no more than a handful.
const PLENTY: u64 = 1000;

fn today() -> Day {
    Day::of(
        "2026-11-21T12:00:00Z".parse().expect("time"),
        &TimeZone::UTC,
    )
}

fn tomorrow() -> Day {
    Day::of(
        "2026-11-22T12:00:00Z".parse().expect("time"),
        &TimeZone::UTC,
    )
}

fn request(counter: &str, amount: u64, maximum: impl Into<Option<u64>>) -> ChargeRequest {
    ChargeRequest {
        counter: counter.to_owned(),
        amount,
        maximum: maximum.into(),
    }
}

fn open(folder: &SqliteFolder) -> LeasedLedger {
    LeasedLedger::open(folder.open(), &today(), PLENTY).expect("ledger")
}

fn values(folder: &SqliteFolder, day: Day, counter: &str) -> (u64, u64) {
    let Usage { taken, spent } = folder
        .open()
        .usage(day.date())
        .expect("usage")
        .get(counter)
        .copied()
        .unwrap_or_default();
    (taken, spent)
}

async fn charge_while_there_is_room(ledger: &LeasedLedger, requests: &[ChargeRequest]) -> u64 {
    let mut charged = 0;
    loop {
        match ledger.charge(&today(), requests).await {
            Ok(_) => charged += 1,
            Err(ChargeError::Full { .. }) => return charged,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn r5_a_limit_is_reached_exactly_and_has_the_time_of_its_reset() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [request("relay/northwind", 1, 250)];
    assert_eq!(charge_while_there_is_room(&ledger, &requests).await, 250);
    let Err(ChargeError::Full {
        counter,
        maximum,
        resets_at,
    }) = ledger.charge(&today(), &requests).await
    else {
        panic!("charged");
    };
    assert_eq!((counter.as_str(), maximum), ("relay/northwind", 250));
    assert_eq!(resets_at, "2026-11-22T00:00:00Z".parse().expect("time"));
    assert_eq!(ledger.used(&today(), "relay/northwind"), 250);
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "relay/northwind"), (250, 250));
}

#[tokio::test]
async fn r5_a_refund_makes_room_again() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [request("relay/a", 1, 2)];
    let first = ledger.charge(&today(), &requests).await.expect("charged");
    let second = ledger.charge(&today(), &requests).await.expect("charged");
    assert!(ledger.charge(&today(), &requests).await.is_err());
    ledger.refund(first);
    assert_eq!(ledger.used(&today(), "relay/a"), 1);
    let third = ledger.charge(&today(), &requests).await.expect("charged");
    assert!(ledger.charge(&today(), &requests).await.is_err());
    ledger.refund(second);
    ledger.refund(third);
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "relay/a"), (0, 0));
}

#[tokio::test]
async fn r11_a_message_is_charged_to_all_its_counters_or_to_none() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [
        request("organisation", 3, 100),
        request("user/bob", 3, 7),
        request("all", 3, None),
    ];
    for _ in 0..2 {
        let _ = ledger.charge(&today(), &requests).await.expect("charged");
    }
    let refused = ledger.charge(&today(), &requests).await;
    assert!(
        matches!(&refused, Err(ChargeError::Full { counter, .. }) if counter == "user/bob"),
        "{refused:?}"
    );
    for counter in ["organisation", "user/bob", "all"] {
        assert_eq!(ledger.used(&today(), counter), 6, "{counter}");
    }
    let _ = ledger
        .charge(&today(), &[request("user/bob", 1, 7)])
        .await
        .expect("one is left");
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "organisation"), (6, 6));
    assert_eq!(values(&folder, today(), "user/bob"), (7, 7));
    assert_eq!(values(&folder, today(), "all"), (6, 6));
}

#[tokio::test]
async fn r11_a_message_with_more_recipients_than_the_maximum_is_refused_and_costs_nothing() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    assert!(
        ledger
            .charge(&today(), &[request("a", 51, 50)])
            .await
            .is_err()
    );
    let _ = ledger
        .charge(&today(), &[request("a", 50, 50)])
        .await
        .expect("charged");
}

#[tokio::test]
async fn r11_counters_start_afresh_with_the_day() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [request("a", 1, 1)];
    let receipt = ledger.charge(&today(), &requests).await.expect("charged");
    assert!(ledger.charge(&today(), &requests).await.is_err());
    let _ = ledger
        .charge(&tomorrow(), &requests)
        .await
        .expect("a new day");
    assert_eq!(
        (ledger.used(&today(), "a"), ledger.used(&tomorrow(), "a")),
        (1, 1)
    );
    // A refund goes to the day of the charge.
    ledger.refund(receipt);
    assert_eq!(
        (ledger.used(&today(), "a"), ledger.used(&tomorrow(), "a")),
        (0, 1)
    );
    let _ = ledger
        .charge(&today(), &requests)
        .await
        .expect("a message of before midnight");
    assert!(ledger.charge(&tomorrow(), &requests).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r12_many_hosts_together_let_exactly_the_maximum_through() {
    let folder = SqliteFolder::new();
    let ledgers: Vec<Arc<LeasedLedger>> = (0..3).map(|_| Arc::new(open(&folder))).collect();
    let through = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..60)
        .map(|task: usize| {
            let (ledger, through) = (ledgers[task % 3].clone(), through.clone());
            tokio::spawn(async move {
                let requests = [request("shared", 1, 500), request("counted", 1, None)];
                for turn in 0..40 {
                    match ledger.charge(&today(), &requests).await {
                        // Every seventh reply is not written.
                        Ok(receipt) if turn % 7 == 0 => ledger.refund(receipt),
                        Ok(_) => drop(through.fetch_add(1, Ordering::Relaxed)),
                        Err(ChargeError::Full { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
    for ledger in &ledgers {
        ledger.close().await.expect("closed");
    }
    // What one host holds, another cannot have; when all have given back, the
    // rest is there for anybody.
    let late = open(&folder);
    let rest = charge_while_there_is_room(&late, &[request("shared", 1, 500)]).await;
    assert_eq!(through.load(Ordering::Relaxed) + rest, 500);
    late.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "shared"), (500, 500));
    let counted = through.load(Ordering::Relaxed);
    assert_eq!(values(&folder, today(), "counted"), (counted, counted));
}

#[tokio::test]
async fn r12_a_crash_loses_units_and_never_exceeds_the_maximum() {
    let folder = SqliteFolder::new();
    let requests = [request("a", 1, 300)];
    let mut through = 0;
    for _ in 0..20 {
        let ledger = open(&folder);
        for _ in 0..5 {
            through += u64::from(ledger.charge(&today(), &requests).await.is_ok());
        }
        // Dropped without being closed.
    }
    through += charge_while_there_is_room(&open(&folder), &requests).await;
    assert!(through <= 300, "{through}");
    assert!(
        through >= 150,
        "a crash loses a lease, not the counter: {through}"
    );
    assert_eq!(values(&folder, today(), "a").0, 300);
}

#[tokio::test]
async fn r12_a_lower_maximum_holds_for_units_that_were_taken_under_a_higher_one() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let before = ledger
        .charge(&today(), &[request("a", 1, 1000)])
        .await
        .expect("charged");
    let _ = ledger
        .charge(&today(), &[request("a", 1, 2)])
        .await
        .expect("charged");
    assert!(
        ledger
            .charge(&today(), &[request("a", 1, 2)])
            .await
            .is_err()
    );
    ledger.refund(before);
    // What was refunded goes back through the store.
    assert_eq!(ledger.used(&today(), "a"), 1);
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "a"), (1, 1));
}

#[tokio::test]
async fn two_requests_on_one_counter_count_together_under_the_lower_maximum() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [
        request("a", 2, 100),
        request("b", 1, None),
        request("a", 3, 5),
    ];
    let _ = ledger.charge(&today(), &requests).await.expect("charged");
    assert_eq!(
        (ledger.used(&today(), "a"), ledger.used(&today(), "b")),
        (5, 1)
    );
    assert!(ledger.charge(&today(), &requests).await.is_err());
}

#[tokio::test]
async fn what_others_spent_is_known_when_a_ledger_opens() {
    let folder = SqliteFolder::new();
    let first = open(&folder);
    let _ = first
        .charge(&today(), &[request("relay/a", 4, 10)])
        .await
        .expect("charged");
    first.close().await.expect("closed");
    let second = open(&folder);
    assert_eq!(second.used(&today(), "relay/a"), 4);
    let _ = second
        .charge(&today(), &[request("relay/a", 1, 10)])
        .await
        .expect("charged");
    assert_eq!(second.used(&today(), "relay/a"), 5);
}

#[tokio::test]
async fn a_closed_ledger_charges_nothing() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let receipt = ledger
        .charge(&today(), &[request("a", 1, None)])
        .await
        .expect("charged");
    ledger.close().await.expect("closed");
    ledger.close().await.expect("closed twice");
    for maximum in [None, Some(5)] {
        let refused = ledger.charge(&today(), &[request("a", 1, maximum)]).await;
        assert!(matches!(refused, Err(ChargeError::Closed)), "{refused:?}");
    }
    ledger.refund(receipt);
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
    assert_eq!(charge_while_there_is_room(&ledger, &requests).await, 10);
}

#[tokio::test]
async fn a_read_only_ledger_checks_limits_and_changes_nothing() {
    let folder = SqliteFolder::new();
    let leased = open(&folder);
    let _ = leased
        .charge(&today(), &[request("a", 4, 1000)])
        .await
        .expect("charged");
    leased.close().await.expect("closed");
    let store = SqliteCounters::open_read_only(&folder.state())
        .expect("open")
        .expect("there");
    let read_only = ReadOnlyLedger::read(&store, &today()).expect("read");
    for _ in 0..3 {
        let _ = read_only
            .charge(&today(), &[request("a", 1, 5), request("b", 1, 1)])
            .await
            .expect("room for one");
    }
    assert!(matches!(
        read_only.charge(&today(), &[request("a", 2, 5)]).await,
        Err(ChargeError::Full { .. })
    ));
    assert_eq!(
        (read_only.used(&today(), "a"), read_only.used(&today(), "b")),
        (4, 0)
    );
    assert_eq!(values(&folder, today(), "a"), (4, 4));
}

#[test]
fn the_counters_of_routes_have_their_names() {
    assert_eq!(
        (relay_counter("northwind").as_str(), DEFAULT_ROUTE),
        ("relay/northwind", "default-route")
    );
}

/// A counter for each message, as a policy makes them up.
fn made_up(number: u64) -> [ChargeRequest; 1] {
    [request(&format!("message/{number}"), 1, 10)]
}

#[tokio::test]
async fn m6_new_counters_of_a_day_are_bounded_over_restarts_too_and_all_others_go_on() {
    let folder = SqliteFolder::new();
    let opened = || LeasedLedger::open(folder.open(), &today(), 20).expect("ledger");
    let ledger = opened();
    for number in 0..20 {
        let _ = ledger
            .charge(&today(), &made_up(number))
            .await
            .expect("charged");
    }
    let refused = ledger.charge(&today(), &made_up(20)).await;
    assert!(
        matches!(&refused, Err(ChargeError::TooManyCounters { counter, limit: 20 }) if counter == "message/20"),
        "{refused:?}"
    );
    ledger.close().await.expect("closed");
    let ledger = opened();
    for number in [20, 21] {
        assert!(
            ledger.charge(&today(), &made_up(number)).await.is_err(),
            "after a restart"
        );
    }
    let own = [request("relay/new", 1, 5), request(DEFAULT_ROUTE, 1, None)];
    let _ = ledger.charge(&today(), &own).await.expect("the host's own");
    let _ = ledger
        .charge(&today(), &made_up(3))
        .await
        .expect("one that there is");
    let mixed = [request("message/4", 1, 10), request("message/99", 1, None)];
    assert!(ledger.charge(&today(), &mixed).await.is_err());
    let _ = ledger
        .charge(&tomorrow(), &made_up(99))
        .await
        .expect("a new day");
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "message/4"), (1, 1), "all or none");
    assert_eq!(folder.open().count(today().date()).expect("count"), 22);
}

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
        let _ = worker.charge(&today(), &made_up(number)).expect("charged");
    }
    worker.sync().expect("told");
    store.read.store(0, Ordering::SeqCst);
    let _ = worker.charge(&today(), &made_up(7)).expect("charged");
    for _ in 0..60 {
        worker.sync().expect("told");
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
        let _ = worker.charge(&day, &made_up(7)).expect("charged");
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
            tokio::spawn(async move { ledger.charge(&today(), &made_up(number)).await })
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
    let _ = ledger.charge(&today(), &made_up(1)).await.expect("charged");
}

#[tokio::test]
async fn l4_charges_of_callers_that_are_gone_are_skipped() {
    let store = Arc::new(Watched::default());
    let ledger = LeasedLedger::open(store.clone(), &today(), PLENTY).expect("ledger");
    let _ = ledger.charge(&today(), &made_up(0)).await.expect("charged");
    // The first of them is under way in the store; the others wait.
    store.hold(false);
    let before = store.tried();
    let day = today();
    for number in 1..30 {
        let requests = made_up(number);
        let asked = tokio::time::timeout(Duration::ZERO, ledger.charge(&day, &requests));
        assert!(asked.await.is_err(), "it waits");
    }
    store.open_gate();
    let _ = ledger.charge(&day, &made_up(30)).await.expect("charged");
    // Each of the others would have taken units.
    let taken = store.usage.lock().expect("lock").len();
    assert!(taken <= 3, "{taken} counters");
    assert!(store.tried() - before <= 4);
}
