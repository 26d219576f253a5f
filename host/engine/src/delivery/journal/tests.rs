use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::delivery::plan::PlanNonce;
use crate::state::sqlite::SqliteJournal;
use crate::state::sqlite::tests::SqliteFolder;
use crate::state::{
    DeliveryKey, JournalChange, JournalEntry, JournalStore, StateError, StateErrorKind,
};

fn now() -> Timestamp {
    Timestamp::constant(1_800_000_000, 0)
}

fn keys(recipients: &[&str]) -> Vec<DeliveryKey> {
    delivery_keys(PlanNonce([7; 16]), recipients.iter().copied())
}

fn taken() -> Taken {
    Taken {
        relay: "north".to_owned(),
        reply: "250 2.0.0 Ok: queued as 4F1B".to_owned(),
        at: now(),
    }
}

fn open(store: &Arc<impl JournalStore>) -> Journal {
    Journal::open(store.clone(), JournalSettings::default()).expect("a journal")
}

fn sqlite(folder: &SqliteFolder) -> Arc<SqliteJournal> {
    Arc::new(SqliteJournal::open(&folder.state()).expect("a store"))
}

async fn claim(journal: &Journal, key: DeliveryKey) -> Claimed {
    journal.claim(&[key]).await.remove(0)
}

async fn deliver(journal: &Journal, key: DeliveryKey) -> Claim {
    match claim(journal, key).await {
        Claimed::Deliver(claim) => claim,
        other => panic!("{other:?}"),
    }
}

/// A store that counts its writes, fails on request, and can be held up.
#[derive(Debug)]
struct Probe {
    store: SqliteJournal,
    writes: AtomicUsize,
    changes: AtomicUsize,
    fails: Mutex<bool>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Probe {
    fn new(folder: &SqliteFolder) -> Arc<Self> {
        Arc::new(Self {
            store: SqliteJournal::open(&folder.state()).expect("a store"),
            writes: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            fails: Mutex::new(false),
            held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    fn hold(&self, held: bool) {
        *self.held.lock().expect("lock") = held;
        self.released.notify_all();
    }

    fn fail(&self, fails: bool) {
        *self.fails.lock().expect("lock") = fails;
    }

    fn check(&self) -> Result<(), StateError> {
        match *self.fails.lock().expect("lock") {
            true => Err(StateError::new("test", StateErrorKind::Corrupt, "damaged")),
            false => Ok(()),
        }
    }
}

impl JournalStore for Probe {
    fn read(&self, keys: &[DeliveryKey]) -> Result<Vec<Option<JournalEntry>>, StateError> {
        self.check()?;
        self.store.read(keys)
    }

    fn apply(&self, changes: &[JournalChange]) -> Result<(), StateError> {
        let held = self.held.lock().expect("lock");
        drop(self.released.wait_while(held, |held| *held).expect("lock"));
        self.check()?;
        if !changes.is_empty() {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.changes.fetch_add(changes.len(), Ordering::Relaxed);
        }
        self.store.apply(changes)
    }

    fn prune(&self, before: Timestamp, limit: usize) -> Result<usize, StateError> {
        self.check()?;
        self.store.prune(before, limit)
    }

    fn count(&self) -> Result<u64, StateError> {
        self.store.count()
    }
}

#[test]
fn r6_each_recipient_has_a_key_and_one_that_comes_twice_has_two() {
    let all = keys(&["a@x.test", "b@x.test", "a@x.test"]);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 3);
    // In another order, and without those that were answered.
    assert_eq!(keys(&["b@x.test", "a@x.test"]), [all[1], all[0]]);
    let other = delivery_keys(PlanNonce([8; 16]), ["a@x.test"]);
    assert_ne!(other[0], all[0]);
}

#[tokio::test]
async fn r6_what_was_taken_is_answered_again_also_after_a_restart() {
    let folder = SqliteFolder::new();
    let store = sqlite(&folder);
    let [ann, bob] = keys(&["ann@x.test", "bob@x.test"])[..] else {
        panic!("two keys");
    };
    let journal = open(&store);
    let claimed = deliver(&journal, ann).await;
    assert_eq!(claimed.interrupted, None);
    assert!(journal.record(vec![(claimed, taken())]).await);
    assert_eq!(journal.in_memory_count(), 0);
    // Killed before the MTA gets the answer.
    for journal in [journal, open(&sqlite(&folder))] {
        let claimed = journal.claim(&[bob, ann]).await;
        assert!(matches!(claimed[0], Claimed::Deliver(_)));
        assert!(matches!(&claimed[1], Claimed::Taken(found) if *found == taken()));
    }
}

#[tokio::test]
async fn r6_a_second_attempt_waits_for_the_first() {
    let folder = SqliteFolder::new();
    let journal = open(&sqlite(&folder));
    let [ann] = keys(&["ann@x.test"])[..] else {
        panic!("one key");
    };
    let first = deliver(&journal, ann).await;
    assert!(matches!(claim(&journal, ann).await, Claimed::Busy));
    // Cancelled, or refused: the next one delivers.
    drop(first);
    let second = deliver(&journal, ann).await;
    assert!(journal.record(vec![(second, taken())]).await);
    assert!(matches!(claim(&journal, ann).await, Claimed::Taken(_)));
}

#[tokio::test]
async fn r6_a_relay_that_was_getting_a_message_when_the_process_was_killed_is_reported() {
    let folder = SqliteFolder::new();
    let store = sqlite(&folder);
    let all = keys(&["ann@x.test", "bob@x.test", "eve@x.test"]);
    let settings = JournalSettings {
        in_flight_after: Duration::ZERO,
        ..JournalSettings::default()
    };
    let journal = Journal::open(store.clone(), settings).expect("a journal");
    let ann = deliver(&journal, all[0]).await;
    let bob = deliver(&journal, all[1]).await;
    ann.sending("north", now());
    // It is written with other entries at the latest.
    let eve = deliver(&journal, all[2]).await;
    assert!(journal.record(vec![(eve, taken())]).await);
    // The next process, while the first one still runs.
    let next = open(&sqlite(&folder));
    let again = deliver(&next, all[0]).await;
    let interrupted = Interrupted {
        relay: "north".to_owned(),
        at: now(),
    };
    assert_eq!(again.interrupted, Some(interrupted));
    assert_eq!(deliver(&next, all[1]).await.interrupted, None);
    // What the relay took this time stays, whatever the first process does.
    assert!(next.record(vec![(again, taken())]).await);
    drop((ann, bob));
    journal.close().await;
    assert!(matches!(claim(&next, all[0]).await, Claimed::Taken(_)));
}

#[tokio::test]
async fn r6_a_claim_that_was_given_up_does_not_delete_what_was_taken_later() {
    let folder = SqliteFolder::new();
    let ann = keys(&["ann@x.test"])[0];
    let store = sqlite(&folder);
    let in_flight = JournalEntry::InFlight {
        epoch: crate::state::Epoch(1),
        relay: "north".to_owned(),
        at: now(),
    };
    let set = JournalChange::Set(ann, in_flight);
    store.apply(&[set]).expect("applied");
    let journal = open(&store);
    let interrupted = deliver(&journal, ann).await;
    assert!(interrupted.interrupted.is_some());
    drop(interrupted);
    let next = deliver(&journal, ann).await;
    assert!(journal.record(vec![(next, taken())]).await);
    journal.close().await;
    let entry = store.read(&[ann]).expect("read").remove(0);
    assert!(matches!(entry, Some(JournalEntry::Taken { .. })));
}

#[tokio::test]
async fn what_was_released_is_deleted_with_the_next_write() {
    let folder = SqliteFolder::new();
    let store = Probe::new(&folder);
    let journal = open(&store);
    let all = keys(&["ann@x.test", "bob@x.test"]);
    let ann = deliver(&journal, all[0]).await;
    assert!(journal.record(vec![(ann, taken())]).await);
    journal.release(vec![all[0]]);
    let bob = deliver(&journal, all[1]).await;
    assert!(journal.record(vec![(bob, taken())]).await);
    assert_eq!(store.writes.load(Ordering::Relaxed), 2);
    assert_eq!(store.count().expect("count"), 1);
    journal.release(vec![all[1]]);
    journal.close().await;
    assert_eq!(store.count().expect("count"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_messages_that_wait_for_the_disk_are_written_together() {
    const MESSAGES: usize = 100;
    let folder = SqliteFolder::new();
    let store = Probe::new(&folder);
    let journal = Arc::new(open(&store));
    store.hold(true);
    let mut tasks = Vec::new();
    for nth in 0..MESSAGES {
        let key = DeliveryKey::new([nth as u8; 16], "ann@x.test", 0);
        let claimed = deliver(&journal, key).await;
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            journal.record(vec![(claimed, taken())]).await
        }));
    }
    // All have been sent to the writer, which is held up in its first write.
    while journal.claims_taken() < MESSAGES {
        tokio::task::yield_now().await;
    }
    store.hold(false);
    for task in tasks {
        assert!(task.await.expect("joined"));
    }
    let writes = store.writes.load(Ordering::Relaxed);
    assert!(writes <= 4, "{writes}");
    assert_eq!(store.count().expect("count"), MESSAGES as u64);
}

#[tokio::test]
async fn r6_a_store_that_fails_stops_no_mail_and_protects_from_memory() {
    let folder = SqliteFolder::new();
    let store = Probe::new(&folder);
    let journal = open(&store);
    store.fail(true);
    let ann = keys(&["ann@x.test"])[0];
    let claimed = deliver(&journal, ann).await;
    assert!(!journal.record(vec![(claimed, taken())]).await);
    assert!(matches!(claim(&journal, ann).await, Claimed::Taken(_)));
    journal.release(vec![ann]);
    assert_eq!(journal.in_memory_count(), 0);
    // It is used again once it works.
    store.fail(false);
    let claimed = deliver(&journal, ann).await;
    assert!(journal.record(vec![(claimed, taken())]).await);
}

#[tokio::test]
async fn r6_without_a_store_the_journal_is_in_memory() {
    let journal = Journal::in_memory();
    let ann = keys(&["ann@x.test"])[0];
    let claimed = deliver(&journal, ann).await;
    assert!(matches!(claim(&journal, ann).await, Claimed::Busy));
    assert!(!journal.record(vec![(claimed, taken())]).await);
    assert!(matches!(claim(&journal, ann).await, Claimed::Taken(_)));
    journal.close().await;
}

#[tokio::test]
async fn entries_that_nobody_releases_expire() {
    let folder = SqliteFolder::new();
    let store = sqlite(&folder);
    let journal = open(&store);
    let all = keys(&["ann@x.test", "bob@x.test", "eve@x.test"]);
    for (key, days) in all.iter().zip([0, 5, 7]) {
        let claimed = deliver(&journal, *key).await;
        let at = now() + SignedDuration::from_hours(24 * days);
        let taken = Taken { at, ..taken() };
        assert!(journal.record(vec![(claimed, taken)]).await);
    }
    // Pruning follows the answer.
    journal.close().await;
    let left: Vec<bool> = store
        .read(&all)
        .expect("read")
        .iter()
        .map(Option::is_some)
        .collect();
    assert_eq!(left, [false, true, true]);
}

#[tokio::test]
async fn what_cannot_be_written_is_forgotten_beyond_a_bound() {
    let journal = Journal::in_memory();
    for nth in 0..100_500u32 {
        let key = DeliveryKey::new([1; 16], "ann@x.test", nth);
        let claimed = deliver(&journal, key).await;
        let at = now() + SignedDuration::from_secs(nth.into());
        journal
            .record(vec![(claimed, Taken { at, ..taken() })])
            .await;
    }
    assert!(journal.in_memory_count() <= 100_000);
    let newest = DeliveryKey::new([1; 16], "ann@x.test", 100_499);
    assert!(matches!(claim(&journal, newest).await, Claimed::Taken(_)));
}
