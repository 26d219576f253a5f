//! The tests that every store of deliveries must pass.

use std::sync::Arc;

use jiff::Timestamp;

use crate::state::JournalChange::{GiveUp, Release, Set};
use crate::state::{DeliveryKey, Epoch, JournalEntry, JournalStore};

/// Opens stores over the same state.
pub(crate) trait SharedJournal {
    fn open(&self) -> Arc<dyn JournalStore>;
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("time")
}

fn key(message: u8, recipient: &str) -> DeliveryKey {
    DeliveryKey::new([message; 16], recipient, 0)
}

fn taken(reply: &str, second: i64) -> JournalEntry {
    JournalEntry::Taken {
        relay: "north".to_owned(),
        reply: reply.to_owned(),
        at: at(second),
    }
}

fn in_flight(epoch: u64, second: i64) -> JournalEntry {
    JournalEntry::InFlight {
        epoch: Epoch(epoch),
        relay: "south".to_owned(),
        at: at(second),
    }
}

/// Runs the whole suite on an empty store.
pub(crate) fn run(shared: &impl SharedJournal) {
    entries_are_durable_and_by_recipient(shared);
    a_delivery_that_was_taken_does_not_fly_again(&*shared.open());
    pruning_is_bounded_and_begins_with_the_oldest(&*shared.open());
    writers_do_not_lose_each_others_entries(shared);
}

fn entries_are_durable_and_by_recipient(shared: &impl SharedJournal) {
    let store = shared.open();
    store.apply(&[]).expect("applied");
    let (ann, bob, again) = (
        key(1, "ann@a.test"),
        key(1, "bob@a.test"),
        DeliveryKey::new([1; 16], "ann@a.test", 1),
    );
    let flying = in_flight(u64::MAX, 0);
    store
        .apply(&[
            Set(ann, taken("250 2.0.0 \u{e9}", 0)),
            Set(bob, flying.clone()),
        ])
        .expect("applied");
    drop(store);
    let store = shared.open();
    let other = key(2, "ann@a.test");
    assert_eq!(
        store.read(&[other, bob, ann, again]).expect("read"),
        [None, Some(flying), Some(taken("250 2.0.0 \u{e9}", 0)), None]
    );
    assert_eq!(store.count().expect("count"), 2);
    store
        .apply(&[Release(ann), Release(bob), Release(other), GiveUp(other)])
        .expect("applied");
    assert_eq!(store.count().expect("count"), 0);
}

fn a_delivery_that_was_taken_does_not_fly_again(store: &dyn JournalStore) {
    let ann = key(1, "ann@a.test");
    let read = || store.read(&[ann]).expect("read").remove(0);
    for entry in [in_flight(1, 0), in_flight(2, 1), taken("250 one", 2)] {
        store.apply(&[Set(ann, entry.clone())]).expect("applied");
        assert_eq!(read(), Some(entry));
    }
    store
        .apply(&[Set(ann, in_flight(3, 3)), GiveUp(ann)])
        .expect("applied");
    assert_eq!(read(), Some(taken("250 one", 2)));
    // Changes are applied in their order.
    store
        .apply(&[Release(ann), Set(ann, in_flight(3, 3))])
        .expect("applied");
    assert_eq!(read(), Some(in_flight(3, 3)));
    store.apply(&[GiveUp(ann)]).expect("applied");
    assert_eq!(read(), None);
}

fn pruning_is_bounded_and_begins_with_the_oldest(store: &dyn JournalStore) {
    let keys: Vec<_> = (0..10).map(|nth| key(nth, "ann@a.test")).collect();
    let changes: Vec<_> = keys
        .iter()
        .zip(0..)
        .map(|(key, nth)| Set(*key, taken("250 ok", nth)))
        .collect();
    store.apply(&changes).expect("applied");
    assert_eq!(store.prune(at(5), 3).expect("pruned"), 3);
    let left = store.read(&keys).expect("read");
    assert_eq!(left.iter().position(Option::is_some), Some(3));
    assert_eq!(store.prune(at(5), 1000).expect("pruned"), 2);
    assert_eq!(store.prune(at(5), 1000).expect("pruned"), 0);
    assert_eq!(store.prune(at(100), 1000).expect("pruned"), 5);
    assert_eq!(store.count().expect("count"), 0);
}

fn writers_do_not_lose_each_others_entries(shared: &impl SharedJournal) {
    let stores: Vec<_> = (0..4u8).map(|nth| (nth, shared.open())).collect();
    std::thread::scope(|scope| {
        for (nth, store) in &stores {
            scope.spawn(move || {
                for message in 0..20 {
                    let key = key(nth * 20 + message, "ann@a.test");
                    store
                        .apply(&[Set(key, taken("250 ok", 0))])
                        .expect("applied");
                    assert!(store.read(&[key]).expect("read")[0].is_some());
                }
            });
        }
    });
    let store = shared.open();
    assert_eq!(store.count().expect("count"), 80);
    assert_eq!(store.prune(at(1), 1000).expect("pruned"), 80);
}
