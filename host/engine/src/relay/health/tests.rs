use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::*;
use crate::relay::failure::{Cause, Failure, FailureClass, SmtpReply, Stage, TlsProblem};

fn at(text: &str) -> Timestamp {
    text.parse().expect("time")
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("zone")
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn failure(class: FailureClass) -> Failure {
    let (stage, cause) = match class {
        FailureClass::Connection => (Stage::Connect, Cause::TimedOut),
        FailureClass::Tls => (Stage::Tls, Cause::Tls(TlsProblem::Expired)),
        FailureClass::Login => (
            Stage::Login,
            Cause::Reply(SmtpReply::new(535, Some((5, 7, 8)), "wrong password")),
        ),
        FailureClass::NotAllowed => (
            Stage::Recipient,
            Cause::Reply(SmtpReply::new(554, None, "Relay access denied")),
        ),
        FailureClass::Refused => (
            Stage::Data,
            Cause::Reply(SmtpReply::new(451, Some((4, 3, 0)), "later")),
        ),
    };
    Failure::new(stage, cause)
}

/// One relay with a clock.
struct Fixture {
    health: RelayHealth,
    rules: HealthRules,
    zone: TimeZone,
    now: Timestamp,
}

impl Fixture {
    fn new(now: &str) -> Self {
        Self {
            health: RelayHealth::default(),
            rules: HealthRules::default(),
            zone: TimeZone::UTC,
            now: at(now),
        }
    }

    fn admit(&mut self) -> Result<Permit, Unavailable> {
        self.health.admit(self.now)
    }

    fn report(&mut self, permit: Permit, report: Report) -> Option<Event> {
        self.health
            .report(permit, report, self.now, &self.rules, &self.zone)
    }

    fn send(&mut self, report: Report) -> Option<Event> {
        let permit = self.admit().expect("a permit");
        self.report(permit, report)
    }

    fn fail(&mut self, class: FailureClass) -> Option<Event> {
        self.send(Report::Failed(failure(class)))
    }

    /// Fails until the relay rests; returns the number of failures and the warning.
    fn fail_until_it_rests(&mut self, class: FailureClass) -> (u32, Warning) {
        for count in 1..=1000 {
            match self.fail(class) {
                None => {}
                Some(Event::Rested(warning)) => return (count, warning),
                Some(other) => panic!("{other:?}"),
            }
        }
        panic!("it does not rest");
    }

    fn wait(&mut self, time: SignedDuration) {
        self.now += time;
    }

    fn availability(&self) -> Availability {
        self.health.status(self.now).availability
    }

    fn restart(&mut self) {
        self.health = RelayHealth::from_json(&self.health.to_json()).expect("its own text");
    }
}

use FailureClass::*;

#[test]
fn r7_relay_rests_after_three_failures_until_the_next_day() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    assert_eq!(relay.fail(Connection), None);
    relay.wait(SignedDuration::from_mins(1));
    assert_eq!(relay.fail(Tls), None);
    relay.wait(SignedDuration::from_mins(1));
    let Some(Event::Rested(warning)) = relay.fail(Login) else {
        panic!("it does not rest");
    };
    let midnight = at("2026-11-25T00:00:00Z");
    assert_eq!((warning.until, warning.failures), (Some(midnight), 3));
    // The cause of each failure, with its remedy.
    let causes: Vec<_> = warning
        .records
        .iter()
        .map(|record| (record.at, record.class, record.remedy()))
        .collect();
    assert_eq!(
        causes,
        [
            (at("2026-11-24T10:00:00Z"), Connection, Remedy::CheckNetwork),
            (at("2026-11-24T10:01:00Z"), Tls, Remedy::RenewCertificate),
            (at("2026-11-24T10:02:00Z"), Login, Remedy::CheckPassword),
        ]
    );
    assert_eq!(warning.records[2].failure.stage, Stage::Login);
    assert_eq!(
        warning.records[2].failure.reply().map(|r| r.code),
        Some(535)
    );
    let resting = Unavailable::Resting {
        until: Some(midnight),
    };
    assert_eq!(relay.admit(), Err(resting));
    relay.now = at("2026-11-24T23:59:59Z");
    assert_eq!(relay.admit(), Err(resting));
    relay.now = midnight;
    assert!(relay.admit().expect("a permit").is_probe());
}

#[test]
fn r7_the_warning_mail_names_relay_end_causes_and_remedies() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.zone = zone("Asia/Tokyo");
    let hostile = SmtpReply::new(535, None, "wrong\r\n\r\nBcc: x@y.test\u{1b}[2J");
    for cause in [Cause::TimedOut, Cause::TimedOut, Cause::Reply(hostile)] {
        let event = relay.send(Report::Failed(Failure::new(Stage::Login, cause)));
        let Some(Event::Rested(warning)) = event else {
            continue;
        };
        let notice = warning.notice("northwind", &relay.zone);
        assert!(notice.subject.contains("northwind") && !notice.subject.contains('\n'));
        let body = notice.body.as_str();
        let failures = warning.records.iter();
        let mut parts: Vec<String> = failures.map(|record| record.failure.to_string()).collect();
        parts.extend(
            warning
                .records
                .iter()
                .map(|record| record.remedy().to_string()),
        );
        parts.extend(
            [
                "northwind",
                "2026-11-25 00:00:00 +09:00",
                "2026-11-24 19:00:00 +09:00",
            ]
            .map(str::to_owned),
        );
        for part in parts {
            assert!(body.contains(&part), "{part}: {body}");
        }
        // Each remedy once, and nothing of the reply as a line or a control character.
        let remedy = warning.records[0].remedy().to_string();
        assert_eq!(body.matches(&remedy).count(), 1);
        assert!(!body.lines().any(|line| line.starts_with("Bcc")));
        assert!(!body.contains(|c: char| c.is_control() && c != '\n'));
        return;
    }
    panic!("it does not rest");
}

#[test]
fn r7_an_accepted_message_starts_the_count_again() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    for _ in 0..5 {
        assert_eq!(relay.fail(Connection), None);
        assert_eq!(relay.fail(Connection), None);
        assert_eq!(relay.send(Report::Accepted), None);
    }
    assert_eq!(relay.health.status(relay.now).failures_in_a_row, 0);
}

#[test]
fn r7_what_is_neither_accepted_nor_failed_changes_no_count() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    for _ in 0..2 {
        assert_eq!(relay.fail(Refused), None);
        for _ in 0..5 {
            assert_eq!(relay.send(Report::Neutral), None);
        }
    }
    assert!(matches!(relay.fail(Refused), Some(Event::Rested(_))));
}

#[test]
fn r7_failures_of_two_days_are_not_in_a_row_of_one_day() {
    let mut relay = Fixture::new("2026-11-24T23:59:58Z");
    assert_eq!(relay.fail(Connection), None);
    assert_eq!(relay.fail(Connection), None);
    relay.now = at("2026-11-25T00:00:01Z");
    assert_eq!(relay.fail(Connection), None);
    assert_eq!(relay.fail(Connection), None);
    // They stay consecutive failures in the status (R8).
    assert_eq!(relay.health.status(relay.now).failures_in_a_row, 4);
    let Some(Event::Rested(warning)) = relay.fail(Connection) else {
        panic!("it does not rest");
    };
    assert_eq!((warning.failures, warning.records.len()), (3, 3));
}

#[test]
fn r7_the_next_day_begins_at_midnight_of_the_organizations_time_zone() {
    for (zone_name, now, until) in [
        ("Asia/Tokyo", "2026-11-24T14:30:00Z", "2026-11-24T15:00:00Z"),
        // A day of 23 hours, and one of 25.
        (
            "Europe/Berlin",
            "2026-03-29T00:30:00Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T23:00:00Z",
        ),
        // No midnight: clocks go from 24:00 to 1:00.
        (
            "America/Santiago",
            "2026-09-05T20:00:00Z",
            "2026-09-06T04:00:00Z",
        ),
    ] {
        let mut relay = Fixture::new(now);
        relay.zone = zone(zone_name);
        let (_, warning) = relay.fail_until_it_rests(Connection);
        assert_eq!(warning.until, Some(at(until)), "{zone_name} {now}");
        relay.now = at(until) - 1.nanosecond();
        assert!(relay.admit().is_err(), "{zone_name} {now}");
        relay.now = at(until);
        assert!(relay.admit().is_ok(), "{zone_name} {now}");
    }
}

#[test]
fn r7_messages_that_fail_together_cause_one_warning() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    let permits: Vec<_> = (0..20).map(|_| relay.admit().expect("a permit")).collect();
    let events: Vec<_> = permits
        .into_iter()
        .filter_map(|permit| relay.report(permit, Report::Failed(failure(Connection))))
        .collect();
    assert_eq!(events.len(), 1);
    assert_eq!(relay.health.status(relay.now).failures_in_a_row, 3);
}

#[test]
fn r9_after_a_rest_exactly_one_message_is_a_probe() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    let (_, warning) = relay.fail_until_it_rests(Connection);
    relay.now = warning.until.expect("an end");
    assert_eq!(relay.availability(), Availability::Probation);
    let probe = relay.admit().expect("a probe");
    assert!(probe.is_probe());
    for _ in 0..3 {
        assert_eq!(relay.admit(), Err(Unavailable::Probing));
    }
    let recovered = relay.report(probe, Report::Accepted);
    let rested_at = at("2026-11-24T10:00:00Z");
    assert_eq!(recovered, Some(Event::Recovered { rested_at }));
    let permits: Vec<_> = (0..3).map(|_| relay.admit().expect("a permit")).collect();
    assert!(permits.iter().all(|permit| !permit.is_probe()));
}

#[test]
fn r9_probes_that_fail_put_the_relay_to_rest_by_the_same_threshold() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.fail_until_it_rests(Connection);
    relay.now = at("2026-11-25T00:00:00Z");
    for _ in 0..2 {
        let probe = relay.admit().expect("a probe");
        assert!(probe.is_probe());
        assert_eq!(relay.admit(), Err(Unavailable::Probing));
        let event = relay.report(probe, Report::Failed(failure(Connection)));
        assert_eq!(event, None);
    }
    let Some(Event::Rested(warning)) = relay.fail(Connection) else {
        panic!("it does not rest");
    };
    assert_eq!(warning.until, Some(at("2026-11-26T00:00:00Z")));
    assert_eq!(warning.failures, 3);
}

#[test]
fn r9_a_probe_that_is_lost_or_neutral_gives_way_to_the_next() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.fail_until_it_rests(Connection);
    relay.now = at("2026-11-25T00:00:00Z");
    let lost = relay.admit().expect("a probe");
    relay.health.abandon(lost);
    assert_eq!(relay.send(Report::Neutral), None);
    // One whose result never comes is given up, and its result ignored.
    let silent = relay.admit().expect("a probe");
    relay.wait(SignedDuration::from_secs(599));
    assert_eq!(relay.admit(), Err(Unavailable::Probing));
    relay.wait(SignedDuration::from_secs(1));
    let next = relay.admit().expect("a probe");
    assert_eq!(relay.report(silent, Report::Accepted), None);
    assert_eq!(relay.admit(), Err(Unavailable::Probing));
    assert!(relay.report(next, Report::Accepted).is_some());
}

#[test]
fn r9_a_class_has_its_own_threshold_and_end() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    let ten_minutes = SignedDuration::from_mins(10);
    relay.rules.by_class = BTreeMap::from([
        (
            Connection,
            Rule {
                threshold: number(5),
                end: RestEnd::After(ten_minutes),
            },
        ),
        (
            Login,
            Rule {
                threshold: number(1),
                end: RestEnd::SwitchedOn,
            },
        ),
    ]);
    // Classes without a rule are counted together, and those with one alone.
    assert_eq!(relay.fail(Refused), None);
    for _ in 0..4 {
        assert_eq!(relay.fail(Connection), None);
    }
    assert_eq!(relay.fail(Tls), None);
    let Some(Event::Rested(warning)) = relay.fail(Connection) else {
        panic!("it does not rest");
    };
    assert_eq!(warning.until, Some(relay.now + ten_minutes));
    assert_eq!(warning.failures, 5);
    assert!(
        warning
            .records
            .iter()
            .all(|record| record.class == Connection)
    );
    relay.wait(ten_minutes);
    let Some(Event::Rested(warning)) = relay.fail(Login) else {
        panic!("it does not rest");
    };
    assert_eq!((warning.until, warning.failures), (None, 1));
    relay.wait(SignedDuration::from_hours(10_000));
    assert_eq!(relay.admit(), Err(Unavailable::Resting { until: None }));
    relay.health.switch_on();
    assert!(!relay.admit().expect("a permit").is_probe());
}

#[test]
fn r9_stays_off_after_ten_login_or_fifty_connection_failures_in_a_row() {
    for (class, failures) in [(Login, 10), (Connection, 50)] {
        let mut relay = Fixture::new("2026-11-24T10:00:00Z");
        relay.rules = HealthRules::with_switch_off();
        let mut sum = 0;
        let last = loop {
            let (count, warning) = relay.fail_until_it_rests(class);
            sum += count;
            // It survives restarts.
            relay.restart();
            match warning.until {
                Some(until) => relay.now = until,
                None => break warning,
            }
        };
        assert_eq!((sum, last.failures), (failures, failures));
        relay.wait(SignedDuration::from_hours(24 * 365));
        assert_eq!(relay.admit(), Err(Unavailable::Resting { until: None }));
    }
}

#[test]
fn r9_an_accepted_message_starts_the_count_of_days_again() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.rules = HealthRules::with_switch_off();
    for _ in 0..20 {
        let (_, warning) = relay.fail_until_it_rests(Login);
        relay.now = warning.until.expect("an end");
        relay.send(Report::Accepted);
    }
}

#[test]
fn r8_a_relay_is_switched_off_for_a_while_or_for_good_and_on_again() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    let until = Some(at("2026-11-24T11:00:00Z"));
    let before = relay.admit().expect("a permit");
    relay.health.switch_off(relay.now, until);
    relay.restart();
    assert_eq!(relay.admit(), Err(Unavailable::Off { until }));
    let since = relay.now;
    assert_eq!(relay.availability(), Availability::Off { since, until });
    // What was sent before is ignored.
    assert_eq!(relay.report(before, Report::Failed(failure(Tls))), None);
    relay.wait(SignedDuration::from_hours(1));
    assert!(!relay.admit().expect("a permit").is_probe());
    relay.health.switch_off(relay.now, None);
    relay.wait(SignedDuration::from_hours(100_000));
    assert_eq!(relay.admit(), Err(Unavailable::Off { until: None }));
    relay.health.switch_on();
    assert_eq!(relay.availability(), Availability::On);
}

#[test]
fn r8_a_relay_that_was_switched_off_for_a_while_goes_on_resting() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.fail_until_it_rests(Connection);
    relay
        .health
        .switch_off(relay.now, Some(at("2026-11-24T11:00:00Z")));
    relay.now = at("2026-11-24T11:00:00Z");
    assert!(matches!(relay.admit(), Err(Unavailable::Resting { .. })));
    relay.health.switch_on();
    assert_eq!(relay.health.status(relay.now).failures_in_a_row, 0);
    assert!(relay.admit().is_ok());
}

#[test]
fn r8_the_status_as_json_has_the_last_failure() {
    let mut relay = Fixture::new("2026-11-24T10:00:00Z");
    relay.fail(Login);
    let status = serde_json::to_value(relay.health.status(relay.now)).expect("JSON");
    assert_eq!(status["state"], "on");
    assert_eq!(status["failures_in_a_row"], 1);
    assert_eq!(status["last_failure"]["class"], "login");
    assert_eq!(status["last_failure"]["stage"], "login");
    assert_eq!(status["last_failure"]["cause"]["reply"]["code"], 535);
    relay.fail_until_it_rests(Connection);
    let status = serde_json::to_value(relay.health.status(relay.now)).expect("JSON");
    assert_eq!(status["state"], "resting");
    assert_eq!(status["until"], "2026-11-25T00:00:00Z");
}

#[test]
fn a_rest_that_a_wrong_clock_began_in_the_future_ends() {
    let mut relay = Fixture::new("2036-11-24T10:00:00Z");
    relay.fail_until_it_rests(Connection);
    relay.wait(SignedDuration::from_secs(-1));
    assert!(relay.admit().is_err(), "clocks of threads differ a little");
    relay.now = at("2026-11-24T10:00:00Z");
    assert!(relay.admit().expect("a permit").is_probe());
}

mod registry {
    use super::*;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn open(names: &[&str], saved: &BTreeMap<String, String>) -> HealthRegistry {
        let (registry, unreadable) = HealthRegistry::new(TimeZone::UTC, relays(names), saved);
        assert!(unreadable.is_empty(), "{unreadable:?}");
        registry
    }

    fn relays(names: &[&str]) -> Vec<(String, HealthRules)> {
        let rules = HealthRules::default();
        let relay = |name: &&str| ((*name).to_owned(), rules.clone());
        names.iter().map(relay).collect()
    }

    fn save(registry: &HealthRegistry, saved: &mut BTreeMap<String, String>) -> usize {
        let changes = registry.take_changes();
        let count = changes.len();
        for (name, text) in changes {
            match text {
                Some(text) => saved.insert(name, text),
                None => saved.remove(&name),
            };
        }
        count
    }

    fn rest(registry: &HealthRegistry, name: &str) {
        for _ in 0..3 {
            let token = registry.admit(name, at(NOW)).expect("a token");
            token.report(Report::Failed(failure(Connection)), at(NOW));
        }
    }

    #[test]
    fn r7_a_rest_outlives_a_restart() {
        let mut saved = BTreeMap::new();
        let registry = open(&["north", "south"], &saved);
        rest(&registry, "north");
        assert_eq!(save(&registry, &mut saved), 1);
        let registry = open(&["north", "south"], &saved);
        let refused = registry.admit("north", at(NOW)).expect_err("resting");
        assert!(matches!(refused, Unavailable::Resting { .. }));
        assert!(registry.admit("south", at(NOW)).is_ok());
        let unknown = registry.admit("west", at(NOW)).expect_err("unknown");
        assert_eq!(unknown, Unavailable::Unknown);
    }

    #[test]
    fn messages_that_are_accepted_change_nothing_to_be_saved() {
        let registry = open(&["north"], &BTreeMap::new());
        for _ in 0..3 {
            let token = registry.admit("north", at(NOW)).expect("a token");
            assert_eq!(token.report(Report::Accepted, at(NOW)), None);
        }
        assert!(registry.take_changes().is_empty());
    }

    #[test]
    fn r9_a_token_that_is_dropped_ends_its_probe() {
        let registry = open(&["north"], &BTreeMap::new());
        rest(&registry, "north");
        let tomorrow = at("2026-11-25T00:00:00Z");
        let probe = registry.admit("north", tomorrow).expect("a probe");
        assert!(probe.is_probe() && probe.relay() == "north");
        let waits = registry.admit("north", tomorrow).expect_err("probing");
        assert_eq!(waits, Unavailable::Probing);
        drop(probe);
        assert!(
            registry
                .admit("north", tomorrow)
                .expect("a probe")
                .is_probe()
        );
    }

    #[test]
    fn r8_a_relay_that_stays_in_the_configuration_keeps_its_health() {
        let mut saved = BTreeMap::new();
        let registry = open(&["north", "south"], &saved);
        rest(&registry, "north");
        assert!(registry.switch_off("south", at(NOW), None));
        assert!(!registry.switch_off("west", at(NOW), None));
        save(&registry, &mut saved);
        registry.reconfigure(TimeZone::UTC, relays(&["north", "west"]));
        assert!(registry.admit("north", at(NOW)).is_err());
        assert!(registry.admit("south", at(NOW)).is_err());
        assert!(registry.admit("west", at(NOW)).is_ok());
        save(&registry, &mut saved);
        assert_eq!(saved.keys().collect::<Vec<_>>(), ["north"]);
        // Removed and added again, it starts without failures.
        registry.reconfigure(TimeZone::UTC, relays(&["south"]));
        assert!(registry.admit("south", at(NOW)).is_ok());
        assert!(registry.switch_on("south") && !registry.switch_on("north"));
    }

    #[test]
    fn a_saved_text_that_cannot_be_read_is_reported() {
        let saved = BTreeMap::from([("north".to_owned(), "{".to_owned())]);
        let (registry, unreadable) = HealthRegistry::new(TimeZone::UTC, relays(&["north"]), &saved);
        assert_eq!(unreadable.len(), 1);
        assert_eq!(unreadable[0].0, "north");
        assert!(registry.admit("north", at(NOW)).is_ok());
    }
}

/// What can happen to a relay.
#[derive(Clone, Debug)]
enum Step {
    Admit,
    Report(usize, Report),
    Abandon(usize),
    Forget(usize),
    Wait(i64),
    Off(Option<i64>),
    On,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(FailureClass::ALL.to_vec());
    let report = prop_oneof![
        3 => class.prop_map(|class| Report::Failed(failure(class))),
        1 => Just(Report::Accepted),
        1 => Just(Report::Neutral),
    ];
    prop_oneof![
        8 => Just(Step::Admit),
        8 => (0..4usize, report).prop_map(|(nth, report)| Step::Report(nth, report)),
        1 => (0..4usize).prop_map(Step::Abandon),
        1 => (0..4usize).prop_map(Step::Forget),
        3 => (-100..40_000i64).prop_map(Step::Wait),
        1 => prop::option::of(0..40_000i64).prop_map(Step::Off),
        1 => Just(Step::On),
        1 => Just(Step::Restart),
    ]
}

fn rules() -> impl Strategy<Value = HealthRules> {
    let end = prop_oneof![
        Just(RestEnd::NextDay),
        (0..10_000i64).prop_map(|seconds| RestEnd::After(SignedDuration::from_secs(seconds))),
    ];
    let rule = (1..5u32, end).prop_map(|(threshold, end)| Rule {
        threshold: number(threshold),
        end,
    });
    let class = || prop::sample::select(FailureClass::ALL.to_vec());
    (
        rule.clone(),
        prop::collection::btree_map(class(), rule, 0..3),
    )
        .prop_map(|(general, by_class)| HealthRules {
            general,
            by_class,
            switch_off_after: BTreeMap::new(),
        })
}

proptest! {
    /// Against a model that counts by itself: no rest without the threshold, one probe
    /// at a time, one warning for each rest, and each rest ends.
    #[test]
    fn r7_r9_no_rest_without_the_threshold_one_probe_at_a_time_and_an_end(
        rules in rules(), steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut relay = Fixture::new("2026-10-24T10:00:00Z");
        relay.zone = zone("Europe/Berlin");
        relay.rules = rules;
        let mut permits: Vec<Permit> = Vec::new();
        let mut since_accepted = BTreeMap::<FailureClass, u32>::new();
        for step in steps {
            match step {
                Step::Admit => {
                    if let Ok(permit) = relay.admit() {
                        let probing = permit.is_probe();
                        permits.push(permit);
                        if probing {
                            let again = relay.admit();
                            prop_assert_eq!(again, Err(Unavailable::Probing));
                        }
                    }
                }
                Step::Report(nth, report) => {
                    if nth >= permits.len() { continue; }
                    let permit = permits.remove(nth);
                    let before = relay.availability();
                    if let Report::Failed(failure) = &report {
                        *since_accepted.entry(failure.class()).or_default() += 1;
                    }
                    let class = match &report {
                        Report::Failed(failure) => Some(failure.class()),
                        _ => None,
                    };
                    match relay.report(permit, report.clone()) {
                        None => {}
                        Some(Event::Recovered { .. }) => {
                            prop_assert_eq!(before, Availability::Probation);
                            prop_assert_eq!(relay.availability(), Availability::On);
                        }
                        Some(Event::Rested(warning)) => {
                            let class = class.expect("only failures");
                            let was_resting = matches!(before, Availability::Resting { .. });
                            prop_assert!(!was_resting);
                            let counted: u32 = since_accepted.iter()
                                .filter(|(other, _)| relay.rules.are_counted_together(class, **other))
                                .map(|(_, count)| count)
                                .sum();
                            let threshold = relay.rules.rule(class).threshold.get();
                            prop_assert!(counted >= threshold && warning.failures >= threshold);
                            prop_assert_eq!(warning.records.len().min(10), warning.failures.min(10) as usize);
                            prop_assert!(warning.until.expect("an end") > relay.now);
                        }
                    }
                    if report == Report::Accepted {
                        // At most too few are counted: results of earlier periods are ignored.
                        if relay.health.status(relay.now).failures_in_a_row == 0 {
                            since_accepted.clear();
                        }
                    }
                }
                Step::Abandon(nth) => {
                    if nth < permits.len() { relay.health.abandon(permits.remove(nth)); }
                }
                Step::Forget(nth) => {
                    if nth < permits.len() { drop(permits.remove(nth)); }
                }
                Step::Wait(seconds) => relay.wait(SignedDuration::from_secs(seconds)),
                Step::Off(time) => {
                    let until = time.map(|time| relay.now + SignedDuration::from_secs(time));
                    relay.health.switch_off(relay.now, until);
                }
                Step::On => {
                    relay.health.switch_on();
                    prop_assert_eq!(relay.availability(), Availability::On);
                    since_accepted.clear();
                }
                Step::Restart => {
                    permits.clear();
                    let before = relay.health.status(relay.now);
                    relay.restart();
                    prop_assert_eq!(relay.health.status(relay.now), before);
                }
            }
        }
        // Whatever happened, it can be used again.
        if matches!(relay.admit(), Err(Unavailable::Off { until: None })) {
            relay.health.switch_on();
        }
        for _ in 0..3 {
            relay.wait(SignedDuration::from_hours(26));
            if let Ok(permit) = relay.admit() {
                relay.report(permit, Report::Accepted);
            }
        }
        prop_assert_eq!(relay.availability(), Availability::On);
        prop_assert!(relay.admit().is_ok());
    }
}
