//! The task of the policy manager: executes the actions of the state machine.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::files::{paths, with_files};
use super::log::{log_activation, log_rejection, log_unchanged};
use super::messages::{CandidateRequest, Message, Published, RequestResult};
use super::persist::{Write, Writer, persist_logged};
use super::state::{Action, Event, Machine, Outcome, Request, Scope};
use crate::config::{Config, Problem};
use crate::pipeline::PolicySnapshot;
use crate::rollout::admission::{Admission, Candidate};
use crate::rollout::history::RollbackError;
use crate::rollout::snapshots::{InputFiles, PinReason, SnapshotStore};
use crate::rollout::status::{Rejection, Trigger, Validating};
use crate::rollout::version::{ActivationReason, ActiveVersion};
use crate::rollout::version_history::{RolledBack, VersionHistory};

/// The task and all of its state.
pub(super) struct Task {
    admission: Arc<Admission>,
    versions: Arc<VersionHistory>,
    config: Arc<Config>,
    machine: Machine,
    /// Number of the active version that the machine knows.
    known: u64,
    messages: mpsc::Receiver<Message>,
    changes: watch::Receiver<u64>,
    waiting: VecDeque<Waiting>,
    job: Option<Job>,
    writer: Writer<Option<Reply>>,
    published: watch::Sender<Published>,
}

/// A request that waits for its turn.
struct Waiting {
    candidate: CandidateRequest,
    now: Timestamp,
    reply: oneshot::Sender<RequestResult>,
}

/// The request that is processed.
struct Job {
    config: Config,
    trigger: Trigger,
    reason: ActivationReason,
    now: Timestamp,
    reply: oneshot::Sender<RequestResult>,
    /// Content of the candidate's files.
    contents: Option<InputFiles>,
    /// The valid candidate.
    candidate: Option<Arc<PolicySnapshot>>,
    /// What is done for it; stopped when dropped.
    step: JoinSet<Step>,
}

/// The result of a step.
enum Step {
    Read(Option<InputFiles>),
    Validated(Result<Arc<PolicySnapshot>, Vec<Problem>>),
    /// The requester has gone away.
    Canceled,
}

/// A reply that is sent once everything is on disk.
enum Reply {
    Request(oneshot::Sender<RequestResult>, RequestResult),
    RollBack(
        oneshot::Sender<Result<RolledBack, RollbackError>>,
        RolledBack,
    ),
}

impl Task {
    /// Activates the first version.
    ///
    /// # Errors
    ///
    /// The problems of the configured files, if nothing can be activated.
    pub(super) async fn start(
        admission: Arc<Admission>,
        config: Config,
        messages: mpsc::Receiver<Message>,
        now: Timestamp,
    ) -> Result<(Self, watch::Receiver<Published>), Vec<Problem>> {
        let snapshots = Arc::new(SnapshotStore::new(&config.state));
        let contents = read(config.clone()).await;
        let seen = contents.as_ref().map(|contents| contents.inputs.clone());
        let pin = snapshots.pin().unwrap_or_else(|error| {
            tracing::error!("cannot read which policy was active before the restart: {error}");
            None
        });
        let pin = pin.filter(|pin| pin.instead_of == seen);
        let first = admission
            .validate_at_startup(&snapshots, &config, pin.as_ref(), now)
            .await?;
        let reason = pin.as_ref().map_or(PinReason::Swapped, |pin| pin.reason);
        let versions = Arc::new(VersionHistory::new(first.snapshot, now));
        let changes = versions.changes();
        let active = versions.active();
        log_activation(&active);
        let inputs = active.snapshot().inputs().clone();
        let pin = pin.filter(|_| first.is_pinned);
        let machine = Machine::new(seen, inputs.clone(), pin, reason, first.rejected, now);
        let config = Arc::new(config);
        let (published, receiver) = watch::channel(Published {
            config: Arc::clone(&config),
            pin: machine.pin().cloned(),
            rejected: machine.rejected().cloned(),
            validating: None,
        });
        let writer = Writer::new(Arc::clone(&snapshots), Arc::clone(&versions));
        let write = {
            let (versions, pin) = (Arc::clone(&versions), machine.pin().cloned());
            move || persist_logged(&snapshots, &versions, &inputs, pin.as_ref(), contents)
        };
        if let Err(error) = tokio::task::spawn_blocking(write).await {
            tracing::error!("cannot persist the active policy: {error}");
        }
        let task = Self {
            admission,
            known: active.number(),
            versions,
            config,
            machine,
            messages,
            changes,
            waiting: VecDeque::new(),
            job: None,
            writer,
            published,
        };
        Ok((task, receiver))
    }

    pub(super) fn versions(&self) -> &Arc<VersionHistory> {
        &self.versions
    }

    /// Runs until all handles are dropped.
    pub(super) async fn run(mut self) {
        loop {
            self.start_next();
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::Request { candidate, now, reply }) => {
                        self.waiting.push_back(Waiting { candidate, now, reply });
                    }
                    Some(Message::RollBack { number, now, reply }) => {
                        self.roll_back(number, now, reply);
                    }
                    None => return,
                },
                // The task holds the versions: they do not end before it does.
                _ = self.changes.changed() => self.notice_automatic_rollback(),
                step = next_step(&mut self.job) => self.step_done(step),
                (pin, reply) = self.writer.next() => {
                    self.published.send_modify(|published| published.pin = pin);
                    if let Some(reply) = reply {
                        reply.send();
                    }
                }
            }
        }
    }

    /// Starts the next request, once the one before is done and on disk.
    fn start_next(&mut self) {
        if self.job.is_some() || !self.writer.is_idle() {
            return;
        }
        let Some(next) = self.waiting.pop_front() else {
            return;
        };
        self.notice_automatic_rollback();
        let named = &self.config;
        let (request, config, trigger, reason) = match next.candidate {
            CandidateRequest::Reload(config) => {
                let same_files = paths(&config) == paths(named);
                (
                    Request::Reload { same_files },
                    *config,
                    Trigger::Reload,
                    ActivationReason::Reload,
                )
            }
            CandidateRequest::FilesChanged => (
                Request::FilesChanged,
                Config::clone(named),
                Trigger::FilesChanged,
                ActivationReason::FilesChanged,
            ),
            CandidateRequest::Swap { file, settings } => (
                Request::Swap,
                with_files(named, file, settings),
                Trigger::Command,
                ActivationReason::Command,
            ),
            CandidateRequest::Promote {
                file,
                settings,
                inputs,
            } => (
                Request::Promote(inputs),
                with_files(named, file, settings),
                Trigger::Command,
                ActivationReason::Promotion,
            ),
        };
        self.job = Some(Job {
            config,
            trigger,
            reason,
            now: next.now,
            reply: next.reply,
            contents: None,
            candidate: None,
            step: JoinSet::new(),
        });
        self.event(Event::Start {
            request,
            now: next.now,
        });
    }

    fn step_done(&mut self, step: Step) {
        let Some(job) = &mut self.job else {
            return;
        };
        match step {
            Step::Read(contents) => {
                let inputs = contents.as_ref().map(|contents| contents.inputs.clone());
                job.contents = contents;
                self.event(Event::Read(inputs));
            }
            Step::Validated(result) => {
                self.set_trying(None);
                self.notice_automatic_rollback();
                self.validated(result);
            }
            Step::Canceled => {
                self.set_trying(None);
                self.event(Event::Canceled);
                self.job = None;
            }
        }
    }

    fn validated(&mut self, result: Result<Arc<PolicySnapshot>, Vec<Problem>>) {
        let Some(job) = &mut self.job else {
            return;
        };
        match result {
            Ok(candidate) => {
                let inputs = candidate.inputs().clone();
                job.candidate = Some(candidate);
                self.event(Event::Passed(inputs));
            }
            Err(problems) => {
                let file = job.config.policy.file.clone();
                let rejection = Rejection::new(job.now, job.trigger, file, &problems);
                log_rejection(&rejection, problems, &self.versions.active());
                self.event(Event::Rejected(rejection));
            }
        }
    }

    fn roll_back(
        &mut self,
        number: Option<u64>,
        now: Timestamp,
        reply: oneshot::Sender<Result<RolledBack, RollbackError>>,
    ) {
        self.notice_automatic_rollback();
        match self.versions.roll_back(number, now) {
            Ok(back) => {
                for skipped in &back.skipped {
                    tracing::info!("rollback: {skipped}");
                }
                log_activation(&back.version);
                let version = Arc::clone(&back.version);
                let reply = Reply::RollBack(reply, back);
                self.rolled_back(&version, PinReason::RolledBack, Some(reply));
            }
            // The requester may have gone away.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Rollbacks after too many failures are made by the versions themselves.
    fn notice_automatic_rollback(&mut self) {
        let version = self.versions.active();
        if version.number() != self.known {
            let reason = match version.reason() {
                ActivationReason::AutomaticRollback { .. } => PinReason::Failed,
                ActivationReason::Rollback { .. } => PinReason::RolledBack,
                _ => PinReason::Swapped,
            };
            self.rolled_back(&version, reason, None);
        }
    }

    fn rolled_back(&mut self, version: &ActiveVersion, reason: PinReason, reply: Option<Reply>) {
        self.known = version.number();
        let actions = self.machine.on(Event::RolledBack {
            to: version.snapshot().inputs().clone(),
            reason,
            now: version.since(),
        });
        // Its one action: the copies are there since it was activated first.
        if actions.contains(&Action::Persist) {
            self.persist(None, reply);
        }
    }

    fn event(&mut self, event: Event) {
        let mut actions = self.machine.on(event).into_iter();
        self.publish();
        let mut persist = false;
        for action in actions.by_ref() {
            match action {
                Action::Read => self.read(),
                Action::Validate(scope) => self.validate(scope),
                Action::Refit => self.refit(),
                Action::RejectSuperseded => self.reject_superseded(),
                Action::AdoptConfig => self.adopt_config(),
                Action::Activate => self.activate(),
                Action::Persist => persist = true,
                Action::Reply(outcome) => self.reply(outcome, persist),
            }
        }
    }

    fn read(&mut self) {
        if let Some(job) = &mut self.job {
            let config = job.config.clone();
            job.step
                .spawn(async move { Step::Read(read(config).await) });
        }
    }

    fn validate(&mut self, scope: Scope) {
        let Some(job) = &mut self.job else {
            return;
        };
        let config = Box::new(job.config.clone());
        let candidate = match scope {
            Scope::Whole => Candidate::Whole(config),
            Scope::Policy => Candidate::Policy(config),
            Scope::Host => Candidate::Host(config),
        };
        let admission = Arc::clone(&self.admission);
        let active = self.versions.active();
        let now = job.now;
        job.step.spawn(async move {
            let active = active.snapshot();
            Step::Validated(admission.validate_candidate(candidate, active, now).await)
        });
        let validating = Validating {
            since: now,
            trigger: job.trigger,
            file: job.config.policy.file.clone(),
        };
        self.set_trying(Some(validating));
    }

    fn refit(&mut self) {
        let candidate = self.job.as_mut().and_then(|job| job.candidate.take());
        if let Some(candidate) = candidate {
            let active = self.versions.active();
            let rehosted = active.snapshot().with_host(candidate.host());
            self.validated(rehosted.map_err(Vec::from));
        }
    }

    fn reject_superseded(&mut self) {
        if let Some(job) = &self.job {
            let problem = Problem::of_file(
                &job.config.policy.file,
                "a rollback occurred while this version was validated",
                Some(
                    "a reload, changed files, or `waxseal policy swap`, to activate it nevertheless"
                        .into(),
                ),
            );
            self.validated(Err(vec![problem]));
        }
    }

    fn adopt_config(&mut self) {
        if let Some(job) = &self.job {
            self.config = Arc::new(job.config.clone());
            self.publish();
        }
    }

    fn activate(&mut self) {
        let Some(job) = &mut self.job else {
            return;
        };
        let Some(candidate) = job.candidate.take() else {
            return;
        };
        let before = self.versions.active();
        let version = self
            .versions
            .activate(candidate, job.reason.clone(), job.now);
        self.known = version.number();
        if before.number() == version.number() {
            log_unchanged(&before, &version);
        } else {
            log_activation(&version);
        }
    }

    fn reply(&mut self, outcome: Outcome, persist: bool) {
        let Some(job) = self.job.take() else {
            return;
        };
        let activated = outcome == Outcome::Activated;
        let result = match outcome {
            Outcome::Unchanged => None,
            Outcome::Activated => Some(Ok(self.versions.active())),
            Outcome::Rejected(rejection) => Some(Err(rejection)),
            Outcome::FilesDiffer => Some(Err(files_differ(&job))),
        };
        let reply = Reply::Request(job.reply, result);
        if persist {
            let contents = job.contents.filter(|_| activated);
            self.persist(contents, Some(reply));
        } else {
            reply.send();
        }
    }

    fn persist(&mut self, contents: Option<InputFiles>, reply: Option<Reply>) {
        let active = self.versions.active();
        self.writer.push(Write {
            inputs: active.snapshot().inputs().clone(),
            pin: self.machine.pin().cloned(),
            contents,
            then: reply,
        });
    }

    fn publish(&self) {
        self.published.send_modify(|published| {
            published.config = Arc::clone(&self.config);
            published.rejected = self.machine.rejected().cloned();
        });
    }

    fn set_trying(&self, validating: Option<Validating>) {
        self.published
            .send_modify(|published| published.validating = validating);
    }
}

impl Reply {
    /// Sends it. A requester that has gone away needs none.
    fn send(self) {
        match self {
            Self::Request(reply, result) => drop(reply.send(result)),
            Self::RollBack(reply, back) => drop(reply.send(Ok(back))),
        }
    }
}

/// Waits for the current step; forever if there is none. Cancel safe.
async fn next_step(job: &mut Option<Job>) -> Step {
    let Some(job) = job else {
        return std::future::pending().await;
    };
    tokio::select! {
        step = job.step.join_next() => match step {
            Some(Ok(step)) => step,
            Some(Err(error)) => {
                let message = format!("internal error while it was validated: {error}");
                let file = &job.config.policy.file;
                Step::Validated(Err(vec![Problem::of_file(file, message, None)]))
            }
            None => std::future::pending().await,
        },
        () = job.reply.closed() => Step::Canceled,
    }
}

/// Reads the files that a configuration names; `None` if one is unreadable.
async fn read(config: Config) -> Option<InputFiles> {
    let read = tokio::task::spawn_blocking(move || InputFiles::read(&config));
    read.await.ok()?
}

fn files_differ(job: &Job) -> Rejection {
    let file = job.config.policy.file.clone();
    let message = "its files have changed since the shadow run started";
    let expected = "the files of the shadow run, or `waxseal policy shadow` for the current files";
    let problem = Problem::of_file(&file, message, Some(expected.to_owned()));
    Rejection::new(job.now, job.trigger, file, &[problem])
}
