//! The state machine of one relay's health.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Availability, Event, FailureRecord, HealthRules, HealthStatus, Permit, Report, Unavailable,
    Warning,
};
use crate::quota::Day;
use crate::relay::failure::{Failure, FailureClass};

/// Records of failures that are kept. A threshold of ten is more than usual, and a
/// warning with more records is not read.
const RECORDS: usize = 10;

/// Time after which a probe without a result is given up. An attempt ends by 540 s,
/// before Postfix's timeout of 600 s.
const PROBE_LIMIT: SignedDuration = SignedDuration::from_secs(600);

/// A rest that began more than this in the future ends: the clock was wrong then.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(1);

/// The health of one relay. See the [module](super).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RelayHealth {
    condition: Condition,
    /// Set while an administrator has switched it off.
    #[serde(default)]
    off: Option<Off>,
    /// Failures in a row of one day.
    #[serde(default)]
    run: Run,
    /// Failures in a row, on however many days.
    #[serde(default)]
    in_a_row: BTreeMap<FailureClass, u32>,
    #[serde(default)]
    last_failure: Option<FailureRecord>,
    /// Incremented with each change after which earlier results say nothing.
    #[serde(skip)]
    period: u64,
    /// The number of the last probe.
    #[serde(skip)]
    probes: u64,
    /// Whether something changed that has to outlive a restart.
    #[serde(skip)]
    changed: bool,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Condition {
    #[default]
    Ready,
    Resting {
        since: Timestamp,
        until: Option<Timestamp>,
    },
    Probation {
        /// When the rest began.
        since: Timestamp,
        #[serde(skip)]
        probe: Option<Probe>,
    },
}

/// A message that tests the relay at this time.
#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u64,
    began: Timestamp,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Off {
    since: Timestamp,
    until: Option<Timestamp>,
}

/// Failures in a row of one day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Run {
    date: Option<Date>,
    counts: BTreeMap<FailureClass, u32>,
    /// The last ones, oldest first.
    records: Vec<FailureRecord>,
}

impl RelayHealth {
    /// The health in a text made by [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// When it is not such a text.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The text that outlives a restart. A probe that is in progress does not.
    pub fn to_json(&self) -> String {
        // Names of maps are strings, and there are no other causes of failure.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Asks to use the relay for one message.
    ///
    /// # Errors
    ///
    /// When it is not to be used for this message.
    pub fn admit(&mut self, now: Timestamp) -> Result<Permit, Unavailable> {
        self.advance(now);
        if let Some(Off { until, .. }) = self.off {
            return Err(Unavailable::Off { until });
        }
        match &mut self.condition {
            Condition::Ready => Ok(Permit {
                period: self.period,
                probe: None,
            }),
            Condition::Resting { until, .. } => Err(Unavailable::Resting { until: *until }),
            Condition::Probation { probe, .. } => {
                if probe.is_some_and(|probe| now.duration_since(probe.began).abs() < PROBE_LIMIT) {
                    return Err(Unavailable::Probing);
                }
                self.probes = self.probes.wrapping_add(1);
                *probe = Some(Probe {
                    number: self.probes,
                    began: now,
                });
                Ok(Permit {
                    period: self.period,
                    probe: Some(self.probes),
                })
            }
        }
    }

    /// Reports the result of an attempt. Results that say nothing about the present
    /// are ignored: the relay was put to rest or switched meanwhile.
    pub fn report(
        &mut self,
        permit: Permit,
        report: Report,
        now: Timestamp,
        rules: &HealthRules,
        zone: &TimeZone,
    ) -> Option<Event> {
        if !self.end_attempt(permit) {
            return None;
        }
        match report {
            Report::Neutral => None,
            Report::Accepted => self.accepted(),
            Report::Failed(failure) => self.failed(failure, now, rules, zone),
        }
    }

    /// Ends an attempt without a result: the next message may be the probe.
    pub fn abandon(&mut self, permit: Permit) {
        self.end_attempt(permit);
    }

    /// Switches the relay off, until a time or for good.
    pub fn switch_off(&mut self, now: Timestamp, until: Option<Timestamp>) {
        self.off = Some(Off { since: now, until });
        self.changed = true;
        self.start_period();
    }

    /// Switches the relay on. It is ready, and all counts start again.
    pub fn switch_on(&mut self) {
        self.off = None;
        self.condition = Condition::Ready;
        self.changed = true;
        self.start_period();
        self.forget_failures();
    }

    /// The health at a time.
    pub fn status(&self, now: Timestamp) -> HealthStatus {
        let mut at = self.clone();
        at.advance(now);
        let availability = match (at.off, at.condition) {
            (Some(Off { since, until }), _) => Availability::Off { since, until },
            (None, Condition::Ready) => Availability::On,
            (None, Condition::Resting { since, until }) => Availability::Resting { since, until },
            (None, Condition::Probation { .. }) => Availability::Probation,
        };
        HealthStatus {
            availability,
            failures_in_a_row: sum(at.in_a_row.values()),
            last_failure: at.last_failure,
        }
    }

    /// Whether something changed since the last call that has to outlive a restart.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Ends what ends by itself.
    fn advance(&mut self, now: Timestamp) {
        if let Some(Off {
            until: Some(until), ..
        }) = self.off
            && now >= until
        {
            self.off = None;
            self.changed = true;
        }
        if let Condition::Resting { since, until } = self.condition
            && until.is_some_and(|until| now >= until || since.duration_since(now) > CLOCK_SLACK)
        {
            self.condition = Condition::Probation { since, probe: None };
            self.changed = true;
            self.start_period();
        }
    }

    /// Ends an attempt. Returns whether its result counts.
    fn end_attempt(&mut self, permit: Permit) -> bool {
        if permit.period != self.period {
            return false;
        }
        let Condition::Probation { probe, .. } = &mut self.condition else {
            return true;
        };
        if probe.map(|probe| probe.number) != permit.probe {
            return false;
        }
        *probe = None;
        true
    }

    fn accepted(&mut self) -> Option<Event> {
        self.forget_failures();
        let Condition::Probation { since, .. } = self.condition else {
            return None;
        };
        self.condition = Condition::Ready;
        self.changed = true;
        self.start_period();
        Some(Event::Recovered { rested_at: since })
    }

    fn failed(
        &mut self,
        failure: Failure,
        now: Timestamp,
        rules: &HealthRules,
        zone: &TimeZone,
    ) -> Option<Event> {
        let record = FailureRecord::new(now, failure);
        let class = record.class;
        self.changed = true;
        self.last_failure = Some(record.clone());
        self.run.add(record, Day::of(now, zone).date());
        let in_a_row = self.in_a_row.entry(class).or_default();
        *in_a_row = in_a_row.saturating_add(1);

        let switched_off = rules
            .switch_off_after
            .get(&class)
            .is_some_and(|after| *in_a_row >= after.get());
        if switched_off {
            let failures = *in_a_row;
            return Some(self.rest(now, None, failures, |other| other == class));
        }
        let rule = rules.rule(class);
        let together = |other| rules.are_counted_together(class, other);
        let failures = self.run.count(together);
        if failures < rule.threshold.get() {
            return None;
        }
        let until = rule.end.instant(now, zone);
        Some(self.rest(now, until, failures, together))
    }

    /// Puts the relay to rest. Failures in a row of the day start again: after the
    /// rest, it takes as many as before.
    fn rest(
        &mut self,
        now: Timestamp,
        until: Option<Timestamp>,
        failures: u32,
        counted: impl Fn(FailureClass) -> bool,
    ) -> Event {
        self.condition = Condition::Resting { since: now, until };
        self.start_period();
        let run = std::mem::take(&mut self.run);
        Event::Rested(Warning {
            until,
            failures,
            records: run
                .records
                .into_iter()
                .filter(|record| counted(record.class))
                .collect(),
        })
    }

    fn forget_failures(&mut self) {
        self.changed |= !self.in_a_row.is_empty();
        self.in_a_row.clear();
        self.run = Run::default();
    }

    fn start_period(&mut self) {
        self.period = self.period.wrapping_add(1);
        if let Condition::Probation { probe, .. } = &mut self.condition {
            *probe = None;
        }
    }
}

impl Run {
    fn add(&mut self, record: FailureRecord, date: Date) {
        if self.date != Some(date) {
            *self = Self {
                date: Some(date),
                ..Self::default()
            };
        }
        let count = self.counts.entry(record.class).or_default();
        *count = count.saturating_add(1);
        if self.records.len() >= RECORDS {
            self.records.remove(0);
        }
        self.records.push(record);
    }

    fn count(&self, counted: impl Fn(FailureClass) -> bool) -> u32 {
        let counts = self.counts.iter();
        sum(counts
            .filter(|(class, _)| counted(**class))
            .map(|(_, count)| count))
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a u32>) -> u32 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}
