//! The test runner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::authentication;
use super::environment::TestEnvironment;
use super::expected::ExpectedVerdict;
use super::facts::GivenFacts;
use super::failure::Failure;
use super::input::{CaseInput, Field};
use super::observed::Observed;
use super::report::{CaseReport, Report};
use super::suite::{Case, Suite};
use super::{check, golden};
use waxseal::config::{Config, Problem};
use waxseal::intake::DryRun;
use waxseal::pipeline::{Outcome, PolicySnapshot};
use waxseal::quota::ReadOnlyLedger;
use waxseal::relay::RelayRegistry;
use waxseal_core::decision::Verdict;
use waxseal_core::edit::{Edits, HeaderEdit};
use waxseal_core::message::SPLIT_FIELD;
use waxseal_core::message::{Address, Client, Content, Message, Recipient, ReversePath};

/// Called after each case.
pub type Progress = Arc<dyn Fn(&CaseReport) + Send + Sync>;

/// Options of a run.
pub struct Options {
    /// Number of cases that run in parallel. Default: the number of cores.
    pub parallel: usize,
    /// Called after each case.
    pub progress: Option<Progress>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism();
        Self {
            parallel: cores.map_or(1, usize::from),
            progress: None,
        }
    }
}

impl Suite {
    /// Runs all cases, each in the environment that its file names.
    ///
    /// # Errors
    ///
    /// The problems of the configurations, settings and policies that the files name.
    pub async fn run(
        &self,
        environment: &mut TestEnvironment,
        options: &Options,
    ) -> Result<Report, Vec<Problem>> {
        let mut snapshots = Vec::with_capacity(self.setups.len());
        let mut problems = Vec::new();
        for (at, setup) in self.setups.iter().enumerate() {
            if !self.cases.iter().any(|case| case.setup == at) {
                snapshots.push(None);
                continue;
            }
            match environment.snapshot(setup).await {
                Ok(snapshot) => snapshots.push(Some(snapshot)),
                Err(of_setup) => problems.extend(of_setup),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        environment.keep(&snapshots);
        let jobs = self.cases.iter().filter_map(|case| {
            let snapshot = snapshots.get(case.setup)?.clone()?;
            Some((Arc::clone(case), snapshot))
        });
        Ok(run(jobs.collect(), options).await)
    }

    /// Runs all cases against the given snapshot instead of what their files name, to
    /// validate a candidate version.
    pub async fn run_against(&self, snapshot: &Arc<PolicySnapshot>, options: &Options) -> Report {
        let jobs = self.cases.iter();
        let jobs = jobs.map(|case| (Arc::clone(case), Arc::clone(snapshot)));
        run(jobs.collect(), options).await
    }
}

type Job = (Arc<Case>, Arc<PolicySnapshot>);

async fn run(jobs: Vec<Job>, options: &Options) -> Report {
    let begun = Instant::now();
    let jobs = Arc::new(jobs);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..options.parallel.clamp(1, jobs.len().max(1)) {
        let (jobs, next) = (Arc::clone(&jobs), Arc::clone(&next));
        let progress = options.progress.clone();
        let work = async move {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((case, snapshot)) = jobs.get(at) else {
                    return done;
                };
                let report = of_case(case, snapshot).await;
                if let Some(progress) = &progress {
                    progress(&report);
                }
                done.push((at, report));
            }
        };
        // Test messages are not logged.
        workers.spawn(work.with_subscriber(NoSubscriber::default()));
    }
    let mut done = Vec::with_capacity(jobs.len());
    while let Some(worker) = workers.join_next().await {
        match worker {
            Ok(of_worker) => done.extend(of_worker),
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    done.sort_by_key(|(at, _)| *at);
    Report {
        cases: done.into_iter().map(|(_, report)| report).collect(),
        time: begun.elapsed(),
    }
}

async fn of_case(case: &Arc<Case>, snapshot: &Arc<PolicySnapshot>) -> CaseReport {
    let begun = Instant::now();
    let message = match message(case, snapshot.config()) {
        Ok(message) => Arc::new(message),
        Err(failure) => return CaseReport::of_failure(case, *failure, begun.elapsed()),
    };
    let observed = observe(case, snapshot, message, begun).await;
    let mut failures = check::check(case, &observed, snapshot.config());
    let golden = golden::compare(case, &observed);
    failures.extend(golden.as_ref().and_then(golden::Golden::failure));
    CaseReport::new(case, &observed, failures, golden)
}

async fn observe(
    case: &Arc<Case>,
    snapshot: &Arc<PolicySnapshot>,
    message: Arc<Message>,
    begun: Instant,
) -> Observed {
    let config = snapshot.config();
    let listener = config
        .listeners
        .iter()
        .find(|listener| listener.name == message.envelope.listener);
    let named = listener.filter(|_| case.input.listener.is_some());
    let Ok(outgoing) = DryRun::classify(snapshot, named, &message) else {
        return Observed {
            verdict_kind: ExpectedVerdict::Untouched,
            outcome: None,
            content: Content::new(message.content.bytes().to_vec()),
            message,
            hops: Vec::new(),
            time: begun.elapsed(),
        };
    };
    let used = case.input.used.clone();
    let dry_run = DryRun::new(ReadOnlyLedger::with(used));
    let facts = GivenFacts {
        case: Arc::clone(case),
        facts: dry_run.facts(&outgoing),
    };
    let outcome = dry_run.process_with(&outgoing, Arc::new(facts)).await;
    let content = Content::new(leaving(&outcome, &message));
    let hops = if case.expected.authentication.is_empty() {
        Vec::new()
    } else {
        authentication::examine(case, snapshot, &outcome, &message, &content).await
    };
    Observed {
        verdict_kind: verdict_kind(&outcome.verdict()),
        outcome: Some(outcome),
        message,
        content,
        hops,
        time: begun.elapsed(),
    }
}

/// The message as recipients get it, without the fields that our own listeners
/// remove again.
fn leaving(outcome: &Outcome, message: &Message) -> Vec<u8> {
    let Some(delivery) = outcome.delivery() else {
        return message.content.bytes().to_vec();
    };
    let mut edits = delivery.edits.clone();
    edits
        .headers
        .retain(|edit| !matches!(edit, HeaderEdit::Append { name, .. } if name == SPLIT_FIELD));
    edits.applied(&message.content).into_owned()
}

fn verdict_kind(verdict: &Verdict) -> ExpectedVerdict {
    match verdict {
        Verdict::Accept => ExpectedVerdict::Accept,
        Verdict::Reject(_) => ExpectedVerdict::Reject,
        Verdict::Defer(_) => ExpectedVerdict::Defer,
        Verdict::Discard => ExpectedVerdict::Discard,
        Verdict::Hold(_) => ExpectedVerdict::Hold,
    }
}

/// Default arrival time: a Thursday at noon.
const ARRIVAL: i64 = 1_768_478_400;

/// Queue id of all test messages.
const QUEUE_ID: &str = "TEST";

fn message(case: &Case, config: &Config) -> Result<Message, Box<Failure>> {
    let input = &case.input;
    let failure = |what: &str, expected: &str, actual: String, line: Option<usize>| {
        Box::new(Failure::new(what, expected, actual).at(line))
    };
    let content = with_header(Content::of_file(case.message.to_vec()), input);
    if content.fields().is_empty() {
        let actual = "message without header".to_owned();
        return Err(failure("message", "a message (RFC 5322)", actual, None));
    }
    let listener = match &input.listener {
        None => None,
        Some(name) => {
            let found = config
                .listeners
                .iter()
                .find(|listener| listener.name == name.value);
            if found.is_none() && !config.listeners.is_empty() {
                let line = Some(case.line(&name.span));
                let actual = format!("\"{}\"", name.value);
                return Err(failure(
                    "listener",
                    "a listener of the configuration",
                    actual,
                    line,
                ));
            }
            Some(name.value.clone())
        }
    };
    let relays = RelayRegistry::new(config);
    if let Some((name, on)) = input.relays.iter().find(|(name, _)| !relays.contains(name)) {
        let line = Some(case.line(&on.span));
        let actual = format!("\"{name}\"");
        return Err(failure(
            "relays",
            "relays that the configuration defines",
            actual,
            line,
        ));
    }
    let sender = match (&input.sender, author(&content)) {
        (Some(sender), _) => sender.clone(),
        (None, Some(author)) => ReversePath::Address(author),
        (None, None) => {
            let actual = "no author in From, and no `sender`".to_owned();
            return Err(failure("sender", "an envelope sender", actual, None));
        }
    };
    let recipients = match &input.recipients {
        Some(recipients) => recipients.clone(),
        None => content.header_recipients(),
    };
    if recipients.is_empty() {
        let actual = "no recipient in To, Cc or Bcc, and no `recipients`".to_owned();
        return Err(failure(
            "recipients",
            "at least one recipient",
            actual,
            None,
        ));
    }
    let recipient = |address: Address| {
        let local = config.is_local(&address);
        Recipient::new(address, local)
    };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let user = match (&input.user, input.client_ip) {
        // Default: submitted by its author.
        (None, None) if config.outgoing.logins => {
            author(&content).map(|author| author.as_str().to_owned())
        }
        (user, _) => text(user),
    };
    let client = Client::default()
        .with_address(input.client_ip.flatten())
        .with_name(text(&input.client_name))
        .with_helo(text(&input.helo))
        .with_user(user)
        .with_tls(text(&input.tls));
    let arrival = input
        .arrival
        .or_else(|| jiff::Timestamp::from_second(ARRIVAL).ok())
        .unwrap_or_default();
    Ok(Message::builder(content, arrival)
        .queue_id(QUEUE_ID)
        .listener(listener.unwrap_or_else(|| of_trials(config)))
        .client(client)
        .sender(sender)
        .recipients(recipients.into_iter().map(recipient))
        .build())
}

/// Listener of a message whose case names none.
fn of_trials(config: &Config) -> String {
    let listener = config
        .listeners
        .iter()
        .find(|listener| listener.mode != waxseal::config::Mode::Split);
    listener.map_or_else(|| "test".to_owned(), |listener| listener.name.clone())
}

fn author(content: &Content) -> Option<Address> {
    let author = content.author().into_iter().next()?;
    Address::parse(&author.address).ok()
}

/// The message with the header fields of the case.
fn with_header(content: Content, input: &CaseInput) -> Content {
    if input.header.is_empty() {
        return content;
    }
    let mut headers = Vec::new();
    for (name, field) in &input.header {
        let there = content.count_named(name);
        let values = match field {
            Field::Absent => &[][..],
            Field::Values(values) => values,
        };
        for (at, value) in values.iter().enumerate() {
            let (name, value) = (name.clone(), format!(" {value}").into_bytes());
            headers.push(match at < there {
                true => HeaderEdit::Replace {
                    name,
                    nth: at + 1,
                    value,
                },
                false => HeaderEdit::Append { name, value },
            });
        }
        let left_over = (values.len()..there).map(|_| HeaderEdit::Remove {
            name: name.clone(),
            nth: values.len() + 1,
        });
        headers.extend(left_over);
    }
    let edits = Edits {
        headers,
        ..Edits::default()
    };
    Content::new(edits.apply(&content))
}
