//! The tests that every backend of counters must pass.

pub(crate) mod journal;
pub(crate) mod relays;

use std::sync::Arc;

use jiff::civil::{Date, date};

use super::{CounterDelta, CounterStore, LeaseRequest};

pub(crate) const DAY: Date = date(2026, 11, 21);
pub(crate) const UNIT: LeaseRequest = LeaseRequest {
    minimum: 1,
    divisor: 1,
    cap: 1,
};

/// Opens stores over the same state, as several processes do.
pub(crate) trait SharedState {
    fn open(&self) -> Arc<dyn CounterStore>;
}

/// Units taken and spent of a counter.
pub(crate) fn values(store: &dyn CounterStore, counter: &str) -> (u64, u64) {
    let usage = store
        .usage(DAY)
        .expect("usage")
        .get(counter)
        .copied()
        .unwrap_or_default();
    (usage.taken, usage.spent)
}

/// Runs the whole suite.
pub(crate) fn run(shared: &impl SharedState) {
    grants_shrink_and_end_at_the_maximum(&*shared.open());
    nothing_is_granted_below_the_minimum(&*shared.open());
    deltas_are_added_and_never_below_zero(&*shared.open());
    a_lower_maximum_grants_nothing(&*shared.open());
    days_are_separate_and_old_ones_are_pruned(&*shared.open());
    grants_are_durable(shared);
    concurrent_grants_never_exceed_the_maximum(shared);
}

fn grants_shrink_and_end_at_the_maximum(store: &dyn CounterStore) {
    let request = LeaseRequest {
        minimum: 1,
        divisor: 4,
        cap: 20,
    };
    let mut grants = Vec::new();
    loop {
        match store.take(DAY, "shrinks", request, 100).expect("take") {
            0 => break,
            granted => grants.push(granted),
        }
    }
    assert_eq!(grants.iter().sum::<u64>(), 100);
    assert!(grants.is_sorted_by(|a, b| a >= b), "{grants:?}");
    assert_eq!((grants[0], grants.last()), (20, Some(&1)));
}

fn nothing_is_granted_below_the_minimum(store: &dyn CounterStore) {
    let request = |minimum| LeaseRequest {
        minimum,
        divisor: 32,
        cap: 1000,
    };
    assert_eq!(store.take(DAY, "least", request(7), 10).expect("take"), 7);
    assert_eq!(store.take(DAY, "least", request(4), 10).expect("take"), 0);
    assert_eq!(store.take(DAY, "least", request(3), 10).expect("take"), 3);
    assert_eq!(values(store, "least"), (10, 0));
}

fn deltas_are_added_and_never_below_zero(store: &dyn CounterStore) {
    let delta = |spent, taken| {
        [CounterDelta {
            counter: "deltas".to_owned(),
            spent,
            taken,
        }]
    };
    store.apply(DAY, &delta(3, 5)).expect("apply");
    store.apply(DAY, &delta(-1, -2)).expect("apply");
    assert_eq!(values(store, "deltas"), (3, 2));
    store.apply(DAY, &delta(0, -1)).expect("apply");
    assert_eq!(values(store, "deltas"), (2, 2));
    store.apply(DAY, &delta(-100, -100)).expect("apply");
    assert_eq!(values(store, "deltas"), (0, 0));
}

fn a_lower_maximum_grants_nothing(store: &dyn CounterStore) {
    let all = LeaseRequest {
        minimum: 50,
        divisor: 1,
        cap: 50,
    };
    assert_eq!(store.take(DAY, "lowered", all, 100).expect("take"), 50);
    assert_eq!(store.take(DAY, "lowered", UNIT, 40).expect("take"), 0);
    assert_eq!(store.take(DAY, "lowered", UNIT, u64::MAX).expect("take"), 1);
}

fn days_are_separate_and_old_ones_are_pruned(store: &dyn CounterStore) {
    let next = DAY.tomorrow().expect("date");
    assert_eq!(store.take(DAY, "days", UNIT, 1).expect("take"), 1);
    assert_eq!(store.take(DAY, "days", UNIT, 1).expect("take"), 0);
    assert_eq!(store.take(next, "days", UNIT, 1).expect("take"), 1);
    let before = DAY.yesterday().expect("date");
    store.take(before, "days", UNIT, 1).expect("take");
    store.prune(DAY).expect("prune");
    assert!(store.usage(before).expect("usage").is_empty());
    assert_eq!(values(store, "days"), (1, 0));
}

fn grants_are_durable(shared: &impl SharedState) {
    let store = shared.open();
    assert_eq!(store.take(DAY, "outlives", UNIT, 1).expect("take"), 1);
    drop(store);
    assert_eq!(
        shared.open().take(DAY, "outlives", UNIT, 1).expect("take"),
        0
    );
}

fn concurrent_grants_never_exceed_the_maximum(shared: &impl SharedState) {
    let stores: Vec<_> = (0..4).map(|_| shared.open()).collect();
    let granted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .map(|store| {
                scope.spawn(move || {
                    (0..40)
                        .map(|_| store.take(DAY, "together", UNIT, 100).expect("take"))
                        .sum::<u64>()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("joined"))
            .sum()
    });
    assert_eq!(granted, 100);
}
