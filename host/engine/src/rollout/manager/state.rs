//! The state machine of the policy manager: which event leads to which actions.
//!
//! It has no files, clock, tasks or policies: events carry digests and times,
//! and [the task](super::task) executes the actions.

use jiff::Timestamp;

use crate::pipeline::InputDigests;
use crate::rollout::snapshots::{Pin, PinReason};
use crate::rollout::status::Rejection;

/// What the manager does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The configured files are active.
    Serving,
    /// Another policy is active instead of the configured files.
    Pinned(Pin),
    /// A candidate is read and validated.
    Validating(Box<Attempt>),
}

/// A candidate on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    request: Request,
    now: Timestamp,
    step: Step,
    /// The pin of the active version; `None` if the configured files are active.
    pin: Option<Pin>,
    /// Content of the files when the attempt started.
    found: Option<InputDigests>,
    /// A rollback has changed the active version since the attempt started.
    superseded: bool,
    /// The rejection of the files, while only the configuration is validated.
    files_rejected: Option<Rejection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reading,
    Validating(Scope),
}

/// Why a candidate is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The configuration was read again. `same_files`: it names the files that
    /// the current one names.
    Reload { same_files: bool },
    /// The configured files may have changed.
    FilesChanged,
    /// A command names other files.
    Swap,
    /// The shadow candidate, made from these files.
    Promote(InputDigests),
}

/// What of the candidate is built; the rest is taken from the active version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Configuration, keys and policy.
    Whole,
    /// The policy.
    Policy,
    /// Configuration and keys.
    Host,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A request starts.
    Start { request: Request, now: Timestamp },
    /// The candidate's files were read; `None` if one of them is unreadable.
    Read(Option<InputDigests>),
    /// The candidate, made from these files, is valid.
    Passed(InputDigests),
    /// The candidate is invalid.
    Rejected(Rejection),
    /// The requester has gone away.
    Canceled,
    /// A rollback activated an earlier policy.
    RolledBack {
        to: InputDigests,
        reason: PinReason,
        now: Timestamp,
    },
}

/// What the task has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Read the candidate's files.
    Read,
    /// Build and check the candidate.
    Validate(Scope),
    /// Build the valid host settings on the version that is active by now.
    Refit,
    /// Reject the valid candidate, since a rollback has been made meanwhile.
    RejectSuperseded,
    /// Use the candidate's configuration from now on.
    AdoptConfig,
    /// Activate the valid candidate.
    Activate,
    /// Write the pin and copies of the active files, with the candidate's files
    /// if it was activated.
    Persist,
    /// Reply to the requester, after what was to be persisted is on disk.
    Reply(Outcome),
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was nothing to do.
    Unchanged,
    /// The candidate is active.
    Activated,
    /// The candidate was rejected.
    Rejected(Rejection),
    /// The files of the shadow candidate have changed since it was started.
    FilesDiffer,
}

/// The state and what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    state: State,
    /// Content of the configured files when last read; `None` if one of them
    /// was unreadable.
    seen: Option<InputDigests>,
    /// Content of the files of the active version.
    active: InputDigests,
    /// How the active version came to be active, as the reason of a pin.
    cause: PinReason,
    rejected: Option<Rejection>,
}

impl Machine {
    /// The machine after a start. `pin` is the pin that the active version was
    /// loaded by.
    pub(super) fn new(
        seen: Option<InputDigests>,
        active: InputDigests,
        pin: Option<Pin>,
        reason: PinReason,
        rejected: Option<Rejection>,
        now: Timestamp,
    ) -> Self {
        let mut machine = Self {
            state: pin.map_or(State::Serving, State::Pinned),
            seen,
            active,
            cause: PinReason::Swapped,
            rejected,
        };
        machine.settle(reason, now);
        machine
    }

    /// Whether a request can start.
    pub(super) fn is_idle(&self) -> bool {
        !matches!(self.state, State::Validating(_))
    }

    /// The pin of the active version; `None` if the configured files are active.
    pub(super) fn pin(&self) -> Option<&Pin> {
        match &self.state {
            State::Serving => None,
            State::Pinned(pin) => Some(pin),
            State::Validating(attempt) => attempt.pin.as_ref(),
        }
    }

    /// The last rejection since a version was activated.
    pub(super) fn rejected(&self) -> Option<&Rejection> {
        self.rejected.as_ref()
    }

    /// Processes an event. Events that do not fit the state are ignored.
    pub(super) fn on(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Start { request, now } => self.start(request, now),
            Event::RolledBack { to, reason, now } => self.rolled_back(to, reason, now),
            event => match std::mem::replace(&mut self.state, State::Serving) {
                State::Validating(attempt) => self.attempt(*attempt, event),
                state => {
                    self.state = state;
                    Vec::new()
                }
            },
        }
    }

    fn start(&mut self, request: Request, now: Timestamp) -> Vec<Action> {
        if !self.is_idle() {
            return Vec::new();
        }
        let pin = self.pin().cloned();
        self.state = State::Validating(Box::new(Attempt {
            request,
            now,
            step: Step::Reading,
            pin,
            found: None,
            superseded: false,
            files_rejected: None,
        }));
        vec![Action::Read]
    }

    fn rolled_back(&mut self, to: InputDigests, reason: PinReason, now: Timestamp) -> Vec<Action> {
        self.active = to;
        self.cause = reason;
        if let State::Validating(attempt) = &mut self.state {
            attempt.superseded = true;
        }
        self.settle(reason, now);
        vec![Action::Persist]
    }

    fn attempt(&mut self, mut attempt: Attempt, event: Event) -> Vec<Action> {
        match event {
            Event::Read(found) if attempt.step == Step::Reading => {
                attempt.found = found;
                self.read(attempt)
            }
            Event::Passed(inputs) => self.passed(attempt, inputs),
            Event::Rejected(rejection) => self.reject(attempt, rejection),
            Event::Canceled => self.end(attempt.pin, Vec::new()),
            _ => {
                self.state = State::Validating(Box::new(attempt));
                Vec::new()
            }
        }
    }

    fn read(&mut self, attempt: Attempt) -> Vec<Action> {
        let unchanged = attempt.found == self.seen;
        match &attempt.request {
            Request::Reload { .. } => {
                // What rejected files lacked may be there now.
                let rejected = self.reason(&attempt) == PinReason::Rejected;
                let scope = if unchanged && !rejected {
                    Scope::Host
                } else {
                    Scope::Whole
                };
                self.validate(attempt, scope)
            }
            Request::FilesChanged if unchanged => {
                self.end(attempt.pin, vec![Action::Reply(Outcome::Unchanged)])
            }
            Request::FilesChanged => {
                self.seen.clone_from(&attempt.found);
                if self.seen.as_ref() == Some(&self.active) {
                    // The files are again what is active.
                    self.rejected = None;
                    let actions = vec![Action::Persist, Action::Reply(Outcome::Unchanged)];
                    return self.conclude(attempt, PinReason::Swapped, actions);
                }
                self.validate(attempt, Scope::Policy)
            }
            Request::Promote(inputs) => {
                let found = attempt.found.as_ref();
                if found.is_some_and(|found| is_same_policy(found, inputs)) {
                    self.validate(attempt, Scope::Policy)
                } else {
                    self.end(attempt.pin, vec![Action::Reply(Outcome::FilesDiffer)])
                }
            }
            Request::Swap => self.validate(attempt, Scope::Policy),
        }
    }

    fn passed(&mut self, mut attempt: Attempt, inputs: InputDigests) -> Vec<Action> {
        let host_only = attempt.step == Step::Validating(Scope::Host);
        if attempt.superseded {
            attempt.superseded = !host_only;
            self.state = State::Validating(Box::new(attempt));
            return vec![match host_only {
                true => Action::Refit,
                false => Action::RejectSuperseded,
            }];
        }
        let mut actions = vec![Action::Activate, Action::Persist];
        let mut reason = PinReason::Swapped;
        match &attempt.request {
            Request::Reload { .. } => {
                reason = self.reason(&attempt);
                self.seen.clone_from(&attempt.found);
                actions.insert(0, Action::AdoptConfig);
            }
            // What was validated is what is seen, even if the files have changed
            // since they were read.
            Request::FilesChanged => self.seen = Some(inputs.clone()),
            Request::Promote(expected) if !is_same_policy(&inputs, expected) => {
                return self.end(attempt.pin, vec![Action::Reply(Outcome::FilesDiffer)]);
            }
            Request::Promote(_) | Request::Swap => {}
        }
        if inputs != self.active {
            self.cause = PinReason::Swapped;
            self.active = inputs;
        }
        self.rejected = attempt.files_rejected.take();
        actions.push(Action::Reply(Outcome::Activated));
        self.conclude(attempt, reason, actions)
    }

    fn reject(&mut self, mut attempt: Attempt, rejection: Rejection) -> Vec<Action> {
        self.rejected = Some(rejection.clone());
        let settled = match attempt.request {
            Request::Reload { same_files } => {
                let again = attempt.files_rejected.is_none()
                    && attempt.step == Step::Validating(Scope::Whole)
                    && attempt.found == self.seen
                    && self.reason(&attempt) == PinReason::Rejected;
                if again && same_files {
                    // Files that are rejected once more do not prevent a changed
                    // configuration: another policy is active anyway.
                    attempt.files_rejected = Some(rejection);
                    return self.validate(attempt, Scope::Host);
                }
                if same_files {
                    self.seen.clone_from(&attempt.found);
                }
                same_files
            }
            Request::FilesChanged => true,
            Request::Swap | Request::Promote(_) => false,
        };
        let rejection = attempt.files_rejected.take().unwrap_or(rejection);
        let reply = Action::Reply(Outcome::Rejected(rejection));
        if settled {
            self.conclude(attempt, PinReason::Rejected, vec![Action::Persist, reply])
        } else {
            self.end(attempt.pin, vec![reply])
        }
    }

    fn validate(&mut self, mut attempt: Attempt, scope: Scope) -> Vec<Action> {
        attempt.step = Step::Validating(scope);
        self.state = State::Validating(Box::new(attempt));
        vec![Action::Validate(scope)]
    }

    /// Ends an attempt that changed what is seen or active.
    fn conclude(
        &mut self,
        attempt: Attempt,
        reason: PinReason,
        actions: Vec<Action>,
    ) -> Vec<Action> {
        let now = attempt.now;
        self.end(attempt.pin, actions.clone());
        self.settle(reason, now);
        actions
    }

    fn end(&mut self, pin: Option<Pin>, actions: Vec<Action>) -> Vec<Action> {
        self.state = pin.map_or(State::Serving, State::Pinned);
        actions
    }

    /// Why the configured files are not active, or would not be.
    fn reason(&self, attempt: &Attempt) -> PinReason {
        attempt.pin.as_ref().map_or(self.cause, |pin| pin.reason)
    }

    /// Pins the active version if it is not what the configured files contain.
    fn settle(&mut self, reason: PinReason, now: Timestamp) {
        let pin = if self.seen.as_ref() == Some(&self.active) {
            None
        } else {
            // A pin of the same files keeps its reason and time.
            let same = |pin: &&Pin| pin.instead_of == self.seen && pin.inputs == self.active;
            let old = self.pin().filter(same).cloned();
            Some(old.unwrap_or_else(|| Pin {
                instead_of: self.seen.clone(),
                inputs: self.active.clone(),
                reason,
                since: now,
            }))
        };
        match &mut self.state {
            State::Validating(attempt) => attempt.pin = pin,
            state => *state = pin.map_or(State::Serving, State::Pinned),
        }
    }
}

/// Whether component and settings are the same. Tables are the host's: they may
/// have changed since the candidate was started.
fn is_same_policy(one: &InputDigests, other: &InputDigests) -> bool {
    (&one.component, &one.settings) == (&other.component, &other.settings)
}

#[cfg(test)]
mod tests;
