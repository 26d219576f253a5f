//! One store of several ledgers, and over restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::support::*;
use crate::quota::*;
use crate::state::conformance::SharedState as _;
use crate::state::sqlite::tests::SqliteFolder;
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
    let rest = charge_until_the_limit(&late, &[request("shared", 1, 500)]).await;
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
    through += charge_until_the_limit(&open(&folder), &requests).await;
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
async fn m6_new_counters_of_a_day_are_bounded_over_restarts_too_and_all_others_go_on() {
    let folder = SqliteFolder::new();
    let opened = || LeasedLedger::open(folder.open(), &today(), 20).expect("ledger");
    let ledger = opened();
    for number in 0..20 {
        let _ = ledger
            .charge(&today(), &new_counter(number))
            .await
            .expect("charged");
    }
    let refused = ledger.charge(&today(), &new_counter(20)).await;
    assert!(
        matches!(&refused, Err(ChargeError::TooManyCounters { counter, limit: 20 }) if counter == "message/20"),
        "{refused:?}"
    );
    ledger.close().await.expect("closed");
    let ledger = opened();
    for number in [20, 21] {
        assert!(
            ledger.charge(&today(), &new_counter(number)).await.is_err(),
            "after a restart"
        );
    }
    let own = [request("relay/new", 1, 5), request(DEFAULT_ROUTE, 1, None)];
    let _ = ledger.charge(&today(), &own).await.expect("the host's own");
    let _ = ledger
        .charge(&today(), &new_counter(3))
        .await
        .expect("one that there is");
    let mixed = [request("message/4", 1, 10), request("message/99", 1, None)];
    assert!(ledger.charge(&today(), &mixed).await.is_err());
    let _ = ledger
        .charge(&tomorrow(), &new_counter(99))
        .await
        .expect("a new day");
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "message/4"), (1, 1), "all or none");
    assert_eq!(folder.open().count(today().date()).expect("count"), 22);
}
