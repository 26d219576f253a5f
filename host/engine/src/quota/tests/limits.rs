//! Limits of one ledger: exact, for all counters of a message, per day.

use super::support::*;
use crate::quota::*;
use crate::state::sqlite::SqliteCounters;
use crate::state::sqlite::tests::SqliteFolder;
#[tokio::test]
async fn r5_a_limit_is_reached_exactly_and_has_the_time_of_its_reset() {
    let folder = SqliteFolder::new();
    let ledger = open(&folder);
    let requests = [request("relay/northwind", 1, 250)];
    assert_eq!(charge_until_the_limit(&ledger, &requests).await, 250);
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
        request("organization", 3, 100),
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
    for counter in ["organization", "user/bob", "all"] {
        assert_eq!(ledger.used(&today(), counter), 6, "{counter}");
    }
    let _ = ledger
        .charge(&today(), &[request("user/bob", 1, 7)])
        .await
        .expect("one is left");
    ledger.close().await.expect("closed");
    assert_eq!(values(&folder, today(), "organization"), (6, 6));
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
async fn r11_counters_reset_with_the_day() {
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
