//! The day of a counter, in the configured time zone (R5). It has 23 or 25 hours
//! when clocks change.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A day of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Day {
    date: Date,
    ends: Timestamp,
}

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let now = at.to_zoned(zone.clone());
        let ends = now
            .tomorrow()
            .and_then(|tomorrow| tomorrow.start_of_day())
            .map(|midnight| midnight.timestamp())
            // Only past the year 9999.
            .unwrap_or_else(|_| {
                at.saturating_add(SignedDuration::from_hours(24))
                    .unwrap_or(Timestamp::MAX)
            });
        Self {
            date: now.date(),
            ends,
        }
    }

    /// Its date in the configured time zone.
    pub fn date(&self) -> Date {
        self.date
    }

    /// When counters reset: the first instant of the next day.
    pub fn resets_at(&self) -> Timestamp {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("zone")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("time")
    }

    #[test]
    fn r5_the_day_begins_at_midnight_in_the_organizations_time_zone() {
        let tokyo = zone("Asia/Tokyo");
        let evening = Day::of(at("2026-11-21T14:59:59Z"), &tokyo);
        let morning = Day::of(at("2026-11-21T15:00:00Z"), &tokyo);
        assert_eq!(
            (evening.date(), morning.date()),
            (date(2026, 11, 21), date(2026, 11, 22))
        );
        assert_eq!(evening.resets_at(), at("2026-11-21T15:00:00Z"));
        assert_eq!(
            Day::of(at("2026-11-21T14:59:59Z"), &TimeZone::UTC).resets_at(),
            at("2026-11-22T00:00:00Z")
        );
    }

    #[test]
    fn days_on_which_clocks_change_are_longer_or_shorter() {
        let berlin = zone("Europe/Berlin");
        for (noon, hours) in [
            ("2026-03-29T10:00:00Z", 23),
            ("2026-10-25T11:00:00Z", 25),
            ("2026-11-21T11:00:00Z", 24),
        ] {
            let day = Day::of(at(noon), &berlin);
            let begins = Day::of(at(noon) - SignedDuration::from_hours(24), &berlin).resets_at();
            assert_eq!(
                day.resets_at().duration_since(begins),
                SignedDuration::from_hours(hours),
                "{noon}"
            );
        }
    }

    #[test]
    fn a_day_whose_midnight_does_not_exist_begins_with_its_first_instant() {
        // Clocks in Santiago went from 24:00 to 1:00 that night.
        let santiago = zone("America/Santiago");
        let eve = Day::of(at("2026-09-05T20:00:00Z"), &santiago);
        assert_eq!(eve.resets_at(), at("2026-09-06T04:00:00Z"));
        assert_eq!(Day::of(eve.resets_at(), &santiago).date(), date(2026, 9, 6));
    }
}
