//! The table of the state machine: state, event, next state, actions. Files are
//! named by one word, their digest.

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn inputs(name: &str) -> InputDigests {
    InputDigests {
        component: name.to_owned(),
        settings: None,
        tables: [].into(),
    }
}

fn pin(instead_of: &str, active: &str, reason: PinReason) -> Pin {
    Pin {
        instead_of: Some(inputs(instead_of)),
        inputs: inputs(active),
        reason,
        since: NOW,
    }
}

fn rejection() -> Rejection {
    Rejection::new(NOW, crate::rollout::Trigger::Reload, "p.wasm".into(), &[])
}

/// The files `a` are configured and active.
fn serving() -> Machine {
    let seen = Some(inputs("a"));
    Machine::new(seen, inputs("a"), None, PinReason::Swapped, None, NOW)
}

/// `b` is active instead of the configured `a`.
fn pinned(reason: PinReason) -> Machine {
    let pin = pin("a", "b", reason);
    let seen = Some(inputs("a"));
    Machine::new(seen, inputs("b"), Some(pin), reason, None, NOW)
}

fn start(request: Request) -> Event {
    Event::Start { request, now: NOW }
}

fn read(name: &str) -> Event {
    Event::Read(Some(inputs(name)))
}

fn passed(name: &str) -> Event {
    Event::Passed(inputs(name))
}

fn rolled_back(to: &str, reason: PinReason) -> Event {
    Event::RolledBack {
        to: inputs(to),
        reason,
        now: NOW,
    }
}

const RELOAD: Request = Request::Reload { same_files: true };
const RELOAD_OTHER: Request = Request::Reload { same_files: false };

/// A row: where it begins, what happens and which actions follow each event,
/// and where it ends: the active files, and the pin.
struct Row {
    name: &'static str,
    from: Machine,
    events: Vec<(Event, Vec<Action>)>,
    active: &'static str,
    pin: Option<Pin>,
}

fn rejected() -> Action {
    Action::Reply(Outcome::Rejected(rejection()))
}

fn rows() -> Vec<Row> {
    use Action::{Activate, AdoptConfig, Persist, Read, Refit, RejectSuperseded, Reply, Validate};
    use Outcome::{Activated, FilesDiffer, Unchanged};
    use PinReason::{Failed, Rejected, RolledBack, Swapped};
    let serving = serving();
    let reloaded = vec![AdoptConfig, Activate, Persist, Reply(Activated)];
    let activated = vec![Activate, Persist, Reply(Activated)];
    vec![
        Row {
            name: "a reload with unchanged files builds the configuration only",
            from: serving.clone(),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Host)]),
                (passed("a"), reloaded.clone()),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "a reload with changed files builds everything",
            from: serving.clone(),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("c"), vec![Validate(Scope::Whole)]),
                (passed("c"), reloaded.clone()),
            ],
            active: "c",
            pin: None,
        },
        Row {
            name: "a rejected reload pins the active version",
            from: serving.clone(),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("c"), vec![Validate(Scope::Whole)]),
                (Event::Rejected(rejection()), vec![Persist, rejected()]),
            ],
            active: "a",
            pin: Some(pin("c", "a", Rejected)),
        },
        Row {
            name: "a rejected reload that names other files changes nothing",
            from: serving.clone(),
            events: vec![
                (start(RELOAD_OTHER), vec![Read]),
                (read("c"), vec![Validate(Scope::Whole)]),
                (Event::Rejected(rejection()), vec![rejected()]),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "a reload keeps what is pinned and does not try the files",
            from: pinned(RolledBack),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Host)]),
                (passed("b"), reloaded.clone()),
            ],
            active: "b",
            pin: Some(pin("a", "b", RolledBack)),
        },
        Row {
            name: "a reload tries rejected files again",
            from: pinned(Rejected),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Whole)]),
                (passed("a"), reloaded.clone()),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "files that are rejected again do not prevent a changed configuration",
            from: pinned(Rejected),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Whole)]),
                (Event::Rejected(rejection()), vec![Validate(Scope::Host)]),
                (passed("b"), reloaded.clone()),
            ],
            active: "b",
            pin: Some(pin("a", "b", Rejected)),
        },
        Row {
            name: "a configuration that is rejected with them changes nothing",
            from: pinned(Rejected),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Whole)]),
                (Event::Rejected(rejection()), vec![Validate(Scope::Host)]),
                (Event::Rejected(rejection()), vec![Persist, rejected()]),
            ],
            active: "b",
            pin: Some(pin("a", "b", Rejected)),
        },
        Row {
            name: "unchanged files are not tried",
            from: pinned(RolledBack),
            events: vec![
                (start(Request::FilesChanged), vec![Read]),
                (read("a"), vec![Reply(Unchanged)]),
            ],
            active: "b",
            pin: Some(pin("a", "b", RolledBack)),
        },
        Row {
            name: "files that are again what is active remove the pin",
            from: pinned(Swapped),
            events: vec![
                (start(Request::FilesChanged), vec![Read]),
                (read("b"), vec![Persist, Reply(Unchanged)]),
            ],
            active: "b",
            pin: None,
        },
        Row {
            name: "changed files replace what is pinned",
            from: pinned(Failed),
            events: vec![
                (start(Request::FilesChanged), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (passed("c"), activated.clone()),
            ],
            active: "c",
            pin: None,
        },
        Row {
            name: "files that change while they are validated are seen as validated",
            from: serving.clone(),
            events: vec![
                (start(Request::FilesChanged), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (passed("d"), activated.clone()),
            ],
            active: "d",
            pin: None,
        },
        Row {
            name: "unreadable files are tried, and rejected",
            from: serving.clone(),
            events: vec![
                (start(Request::FilesChanged), vec![Read]),
                (Event::Read(None), vec![Validate(Scope::Policy)]),
                (Event::Rejected(rejection()), vec![Persist, rejected()]),
            ],
            active: "a",
            pin: Some(Pin {
                instead_of: None,
                ..pin("a", "a", Rejected)
            }),
        },
        Row {
            name: "a swap is pinned",
            from: serving.clone(),
            events: vec![
                (start(Request::Swap), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (passed("c"), activated.clone()),
            ],
            active: "c",
            pin: Some(pin("a", "c", Swapped)),
        },
        Row {
            name: "a swap to the configured files removes the pin",
            from: pinned(RolledBack),
            events: vec![
                (start(Request::Swap), vec![Read]),
                (read("a"), vec![Validate(Scope::Policy)]),
                (passed("a"), activated.clone()),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "a rejected swap changes nothing",
            from: pinned(Failed),
            events: vec![
                (start(Request::Swap), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (Event::Rejected(rejection()), vec![rejected()]),
            ],
            active: "b",
            pin: Some(pin("a", "b", Failed)),
        },
        Row {
            name: "a promotion of changed files is not validated",
            from: serving.clone(),
            events: vec![
                (start(Request::Promote(inputs("c"))), vec![Read]),
                (read("d"), vec![Reply(FilesDiffer)]),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "a promotion of files that change during validation is not activated",
            from: serving.clone(),
            events: vec![
                (start(Request::Promote(inputs("c"))), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (passed("d"), vec![Reply(FilesDiffer)]),
            ],
            active: "a",
            pin: None,
        },
        Row {
            name: "a promotion is pinned",
            from: serving.clone(),
            events: vec![
                (start(Request::Promote(inputs("c"))), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (passed("c"), activated.clone()),
            ],
            active: "c",
            pin: Some(pin("a", "c", Swapped)),
        },
        Row {
            name: "a rollback is pinned",
            from: serving.clone(),
            events: vec![(rolled_back("z", RolledBack), vec![Persist])],
            active: "z",
            pin: Some(pin("a", "z", RolledBack)),
        },
        Row {
            name: "an automatic rollback to the configured files removes the pin",
            from: pinned(Swapped),
            events: vec![(rolled_back("a", Failed), vec![Persist])],
            active: "a",
            pin: None,
        },
        Row {
            name: "a rollback waits for no validation, whose candidate is rejected",
            from: serving.clone(),
            events: vec![
                (start(Request::Swap), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (rolled_back("z", RolledBack), vec![Persist]),
                (passed("c"), vec![RejectSuperseded]),
                (Event::Rejected(rejection()), vec![rejected()]),
            ],
            active: "z",
            pin: Some(pin("a", "z", RolledBack)),
        },
        Row {
            name: "a configuration is refitted to the policy that a rollback activated",
            from: serving.clone(),
            events: vec![
                (start(RELOAD), vec![Read]),
                (read("a"), vec![Validate(Scope::Host)]),
                (rolled_back("z", RolledBack), vec![Persist]),
                (passed("a"), vec![Refit]),
                (passed("z"), reloaded.clone()),
            ],
            active: "z",
            pin: Some(pin("a", "z", RolledBack)),
        },
        Row {
            name: "a canceled request changes nothing",
            from: pinned(Swapped),
            events: vec![
                (start(Request::Swap), vec![Read]),
                (read("c"), vec![Validate(Scope::Policy)]),
                (Event::Canceled, vec![]),
            ],
            active: "b",
            pin: Some(pin("a", "b", Swapped)),
        },
        Row {
            name: "events without an attempt are ignored",
            from: pinned(Swapped),
            events: vec![
                (read("c"), vec![]),
                (passed("c"), vec![]),
                (Event::Rejected(rejection()), vec![]),
                (Event::Canceled, vec![]),
            ],
            active: "b",
            pin: Some(pin("a", "b", Swapped)),
        },
        Row {
            name: "a second request does not start",
            from: serving,
            events: vec![
                (start(RELOAD), vec![Read]),
                (start(Request::Swap), vec![]),
                (read("a"), vec![Validate(Scope::Host)]),
                (passed("a"), reloaded),
            ],
            active: "a",
            pin: None,
        },
    ]
}

#[test]
fn each_event_leads_to_its_actions() {
    for row in rows() {
        let mut machine = row.from;
        for (event, expected) in row.events {
            let shown = format!("{}: {event:?}", row.name);
            assert_eq!(machine.on(event), expected, "{shown}");
        }
        assert!(machine.is_idle(), "{}", row.name);
        assert_eq!(machine.active, inputs(row.active), "{}", row.name);
        assert_eq!(machine.pin(), row.pin.as_ref(), "{}", row.name);
        let state = row.pin.map_or(State::Serving, State::Pinned);
        assert_eq!(machine.state, state, "{}", row.name);
    }
}

#[test]
fn a_rejection_is_shown_until_a_version_is_activated() {
    let mut machine = serving();
    for event in [
        start(Request::Swap),
        read("c"),
        Event::Rejected(rejection()),
    ] {
        machine.on(event);
    }
    assert_eq!(machine.rejected(), Some(&rejection()));
    for event in [start(Request::Swap), read("c"), passed("c")] {
        machine.on(event);
    }
    assert_eq!(machine.rejected(), None);
}

#[test]
fn rejected_files_stay_shown_where_only_the_configuration_is_adopted() {
    let mut machine = pinned(PinReason::Rejected);
    let again = Event::Rejected(rejection());
    for event in [start(RELOAD), read("a"), again, passed("b")] {
        machine.on(event);
    }
    assert_eq!(machine.rejected(), Some(&rejection()));
}

#[test]
fn a_pin_keeps_its_reason_and_time() {
    let mut machine = pinned(PinReason::Failed);
    let later = NOW + jiff::SignedDuration::from_secs(60);
    machine.on(Event::RolledBack {
        to: inputs("b"),
        reason: PinReason::RolledBack,
        now: later,
    });
    assert_eq!(machine.pin(), Some(&pin("a", "b", PinReason::Failed)));
}
