//! What the tests of the ledgers share.

use jiff::tz::TimeZone;

use crate::quota::*;
use crate::state::Usage;
use crate::state::conformance::SharedState as _;
use crate::state::sqlite::tests::SqliteFolder;

/// New counters a day, where there are no more than a handful.
pub(super) const PLENTY: u64 = 1000;

pub(super) fn today() -> Day {
    Day::of(
        "2026-11-21T12:00:00Z".parse().expect("time"),
        &TimeZone::UTC,
    )
}

pub(super) fn tomorrow() -> Day {
    Day::of(
        "2026-11-22T12:00:00Z".parse().expect("time"),
        &TimeZone::UTC,
    )
}

pub(super) fn request(
    counter: &str,
    amount: u64,
    maximum: impl Into<Option<u64>>,
) -> ChargeRequest {
    ChargeRequest {
        counter: counter.to_owned(),
        amount,
        maximum: maximum.into(),
    }
}

pub(super) fn open(folder: &SqliteFolder) -> LeasedLedger {
    LeasedLedger::open(folder.open(), &today(), PLENTY).expect("ledger")
}

pub(super) fn values(folder: &SqliteFolder, day: Day, counter: &str) -> (u64, u64) {
    let Usage { taken, spent } = folder
        .open()
        .usage(day.date())
        .expect("usage")
        .get(counter)
        .copied()
        .unwrap_or_default();
    (taken, spent)
}

pub(super) async fn charge_until_the_limit(
    ledger: &LeasedLedger,
    requests: &[ChargeRequest],
) -> u64 {
    let mut charged = 0;
    loop {
        match ledger.charge(&today(), requests).await {
            Ok(_) => charged += 1,
            Err(ChargeError::Full { .. }) => return charged,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A counter for each message, as a policy makes them up.
pub(super) fn new_counter(number: u64) -> [ChargeRequest; 1] {
    [request(&format!("message/{number}"), 1, 10)]
}
