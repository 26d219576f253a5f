use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::quota::{
    ChargeError, Day, LeasedLedger, Ledger, relay_counter, relay_recipient_counter,
};
use crate::state::sqlite::SqliteCounters;
use crate::state::sqlite::tests::SqliteFolder;

const FIRST: Date = date(2026, 11, 21);

fn today() -> Day {
    let noon = "2026-11-21T12:00:00Z".parse().expect("time");
    Day::of(noon, &TimeZone::UTC)
}

fn ledger(folder: &SqliteFolder) -> Arc<dyn Ledger> {
    let store = Arc::new(SqliteCounters::open(&folder.state()).expect("store"));
    Arc::new(LeasedLedger::open(store, &today(), 10).expect("ledger"))
}

fn limits(messages: Option<u64>, recipients: Option<u64>) -> RelayLimits {
    RelayLimits {
        messages: messages.map(DailyLimit::constant),
        recipients: recipients.map(DailyLimit::constant),
    }
}

async fn send(
    ledger: &Arc<dyn Ledger>,
    limits: &RelayLimits,
    recipients: u64,
    taken: u64,
) -> Result<(), ChargeError> {
    let charged = charge(ledger, &today(), "north", limits, recipients).await?;
    charged.keep(taken);
    Ok(())
}

fn used(ledger: &Arc<dyn Ledger>) -> (u64, u64) {
    let used = |counter: &str| ledger.used(&today(), counter);
    (
        used(&relay_counter("north")),
        used(&relay_recipient_counter("north")),
    )
}

#[tokio::test]
async fn r5_a_relay_gets_exactly_as_many_messages_as_it_may() {
    let folder = SqliteFolder::new();
    let ledger = ledger(&folder);
    let limits = limits(Some(100), None);
    let mut taken = 0;
    for nth in 0..300 {
        // Every third attempt fails: its charge is given back.
        let accepted = u64::from(nth % 3 > 0);
        match send(&ledger, &limits, 1, accepted).await {
            Ok(()) => taken += accepted,
            Err(error) => {
                assert!(matches!(error, ChargeError::Full { maximum: 100, .. }));
                assert_eq!(taken, 100);
            }
        }
    }
    assert_eq!((taken, used(&ledger)), (100, (100, 0)));
}

#[tokio::test]
async fn r35_recipients_that_a_relay_did_not_take_are_given_back() {
    let folder = SqliteFolder::new();
    let ledger = ledger(&folder);
    let limits = limits(Some(10), Some(20));
    send(&ledger, &limits, 12, 5).await.expect("charged");
    assert_eq!(used(&ledger), (1, 5));
    send(&ledger, &limits, 15, 0).await.expect("charged");
    assert_eq!(used(&ledger), (1, 5));
    // Too many at once: neither counter is charged.
    let full = send(&ledger, &limits, 16, 16).await.expect_err("full");
    assert!(
        matches!(&full, ChargeError::Full { counter, maximum: 20, .. } if *counter == relay_recipient_counter("north"))
    );
    assert_eq!(used(&ledger), (1, 5));
    send(&ledger, &limits, 15, 15).await.expect("charged");
    assert_eq!(used(&ledger), (2, 20));
}

#[tokio::test]
async fn r5_a_charge_that_is_dropped_is_given_back() {
    let folder = SqliteFolder::new();
    let ledger = ledger(&folder);
    let limits = limits(Some(1), Some(3));
    for _ in 0..5 {
        let charged = charge(&ledger, &today(), "north", &limits, 3).await;
        drop(charged.expect("charged"));
    }
    assert_eq!(used(&ledger), (0, 0));
    send(&ledger, &limits, 3, 3).await.expect("charged");
    assert!(send(&ledger, &limits, 1, 1).await.is_err());
}

#[tokio::test]
async fn r8_messages_without_a_limit_are_counted() {
    let folder = SqliteFolder::new();
    let ledger = ledger(&folder);
    for _ in 0..3 {
        send(&ledger, &RelayLimits::default(), 7, 7)
            .await
            .expect("charged");
    }
    assert_eq!(used(&ledger), (3, 0));
}

#[test]
fn r35_a_limit_grows_by_steps_and_then_is_the_maximum() {
    let limit = |maximum| DailyLimit {
        maximum,
        warm_up: Some(WarmUp {
            first_day: FIRST,
            growth: Growth::Steps(vec![50, 100, 1000]),
        }),
    };
    let on = |maximum, day: &str| limit(maximum).on(day.parse().expect("date"));
    for (day, expected) in [
        ("2026-11-01", Some(50)),
        ("2026-11-21", Some(50)),
        ("2026-11-22", Some(100)),
        ("2026-11-23", Some(500)),
        ("2026-11-24", Some(500)),
        ("9999-12-31", Some(500)),
    ] {
        assert_eq!(on(Some(500), day), expected, "{day}");
    }
    assert_eq!(on(None, "2026-11-23"), Some(1000));
    assert_eq!(on(None, "2026-11-24"), None);
}

#[test]
fn r35_a_limit_grows_by_percent_up_to_the_maximum() {
    let on = |first, percent, day: u32| {
        let limit = DailyLimit {
            maximum: Some(1000),
            warm_up: Some(WarmUp {
                first_day: FIRST,
                growth: Growth::Percent { first, percent },
            }),
        };
        let date = (0..day).fold(FIRST, |date, _| date.tomorrow().expect("date"));
        limit.on(date)
    };
    let days: Vec<_> = (0..6).map(|day| on(100, 100, day)).collect();
    assert_eq!(days, [100, 200, 400, 800, 1000, 1000].map(Some).to_vec());
    // Growth by less than a unit is growth by one.
    assert_eq!(on(1, 1, 3), Some(4));
}

proptest! {
    #[test]
    fn r35_a_limit_never_shrinks_and_never_exceeds_the_maximum(
        maximum in 0..10_000u64, first in any::<u64>(), percent in any::<u32>(), days in 0..5000i32,
    ) {
        let limit = DailyLimit {
            maximum: Some(maximum),
            warm_up: Some(WarmUp { first_day: FIRST, growth: Growth::Percent { first, percent } }),
        };
        let date = FIRST.checked_add(jiff::Span::new().days(days)).expect("date");
        let today = limit.on(date).expect("a limit");
        let tomorrow = limit.on(date.tomorrow().expect("date")).expect("a limit");
        prop_assert!(today <= tomorrow && tomorrow <= maximum);
    }
}

#[tokio::test]
async fn r35_a_limit_warns_once_a_day_at_eighty_percent_and_when_it_is_used() {
    let folder = SqliteFolder::new();
    let ledger = ledger(&folder);
    let limits = limits(Some(10), None);
    let mut watch = LimitWatch::default();
    let mut warnings = Vec::new();
    for _ in 0..15 {
        let _ = send(&ledger, &limits, 1, 1).await;
        let requests = limits.requests("north", today().date(), 1);
        warnings.extend(watch.check(&*ledger, &today(), &requests));
    }
    let found: Vec<_> = warnings
        .iter()
        .map(|warning| (warning.level, warning.used, warning.maximum))
        .collect();
    assert_eq!(
        found,
        [(LimitLevel::Near, 8, 10), (LimitLevel::Full, 10, 10)]
    );
    assert_eq!(warnings[0].counter, relay_counter("north"));
    assert_eq!(warnings[0].resets_at, today().resets_at());
    // After a restart, the first look is not reported.
    let mut again = LimitWatch::default();
    let requests = limits.requests("north", today().date(), 1);
    again.check(&*ledger, &today(), &requests);
    assert!(again.check(&*ledger, &today(), &requests).is_empty());
}

#[test]
fn r35_warnings_start_again_on_the_next_day() {
    let mut watch = LimitWatch::new(50);
    let ledger = crate::quota::ReadOnlyLedger::with([(relay_counter("north"), 6)]);
    let requests = limits(Some(10), None).requests("north", FIRST, 1);
    let day = |text: &str| Day::of(text.parse().expect("time"), &TimeZone::UTC);
    let mut count = |at: &str| watch.check(&ledger, &day(at), &requests).len();
    assert_eq!(count("2026-11-21T12:00:00Z"), 1);
    assert_eq!(count("2026-11-22T00:00:00Z"), 1);
    // A message of the day before.
    assert_eq!(count("2026-11-21T23:59:59Z"), 0);
    assert_eq!(count("2026-11-22T12:00:00Z"), 0);
}
