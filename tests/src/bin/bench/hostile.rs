//! What hostile policies and hostile messages cost others: a policy in shadow
//! beside a good one, one in service with messages that make it loop, and messages
//! that take long to map, edit and sign.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use waxseal::config::{Share, read_text};
use waxseal::crypto::Secret;
use waxseal::decision::Verdict;
use waxseal::intake::{Direction, Intake};
use waxseal::message::{Client, Content, Message, ReversePath};
use waxseal::pipeline::{BuildReport, Delivery, DerivedKeys, Outcome, PolicySnapshot};
use waxseal::quota::ReadOnlyLedger;
use waxseal::rollout::{PolicyService, ShadowRun, Subscription, VersionHistory};
use waxseal::runtime::{Limits, Sandbox};
use waxseal_testkit::hostile::{self, Generator};

use crate::table::Table;
use crate::units::{micros, quantile};

/// How long each kind is measured.
const TIME: Duration = Duration::from_secs(3);

/// Hostile messages at one time.
const HOSTILE: usize = 4;

/// Pause between two good messages: mail comes now and then.
const PAUSE: Duration = Duration::from_micros(500);

/// Longest that ninety-nine of a hundred good decisions may take, in
/// milliseconds.
const TARGET: f64 = 10.0;

/// Measures good decisions beside bad ones.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("A hostile policy beside a good one: 99 of 100 of the good one's decisions");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(thread::available_parallelism()?.get())
        // As the daemon has it.
        .event_interval(1)
        .global_queue_interval(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let good = service("rust_minimal").await?;
        let times = decisions(&good, "loop").await?;
        let median = micros(quantile(&times, 0.5));
        table.figure(
            format!("alone (median {median:.1} µs)"),
            format!("{:.2} ms", tail(&times)),
        );
        let (shadow, _subscription) = shadow(&good).await?;
        let times = decisions(&good, "loop").await?;
        let seen = shadow.comparison();
        let what = format!(
            "beside a candidate in shadow that loops on each ({} decided, {} skipped)",
            seen.compared, seen.skipped
        );
        table.below(&what, tail(&times), TARGET, " ms");
        drop(shadow);
        let both = service("waxseal_misbehaving").await?;
        let times = decisions(&both, "well").await?;
        table.figure(
            "the policy that may loop, alone",
            format!("{:.2} ms", tail(&times)),
        );
        let ended = Arc::new(AtomicBool::new(false));
        let looping: Vec<_> = (0..HOSTILE)
            .map(|_| tokio::spawn(endless(Arc::clone(&both), Arc::clone(&ended))))
            .collect();
        let times = decisions(&both, "well").await?;
        ended.store(true, Ordering::Relaxed);
        for task in looping {
            task.await?;
        }
        let what = format!("beside {HOSTILE} messages at a time that make the policy loop");
        table.below(&what, tail(&times), TARGET, " ms");
        beside_messages(table).await
    })
}

/// Hostile messages that are measured, and their bytes: those below 32 KiB
/// begin on the quick threads, those above on the slow ones.
const MESSAGES: [(&str, Generator, usize); 9] = [
    ("runs of blanks", hostile::quoted_printable_blanks, 250_000),
    ("empty base64 lines", hostile::base64_short_lines, 250_000),
    ("copies of our own field", hostile::route_fields, 30_000),
    ("small multiparts", hostile::small_multiparts, 30_000),
    ("HTML nested deeply", hostile::html_nesting, 250_000),
    ("HTML nested deeply, 30 KB", hostile::html_nesting, 30_000),
    ("escapes of charsets", hostile::charset_escapes, 250_000),
    ("HTML nested deeply, 5 MB", hostile::html_nesting, 5_000_000),
    ("attachments, 5 MB", hostile::attachments, 5_000_000),
];

/// How much longer than alone ninety-nine of a hundred honest messages may take,
/// in milliseconds.
const ADDED: f64 = 50.0;

/// Measures honest messages that get a disclaimer beside hostile ones that get it,
/// too.
async fn beside_messages(table: &mut Table) -> anyhow::Result<()> {
    table.section(
        "Honest messages beside hostile ones: 99 of 100 honest ones (one hostile one alone)",
    );
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, DISCLAIMER)?;
    let line = format!("settings = \"{}\"\n", settings.display());
    let service = service_with("waxseal_standard", &line).await?;
    let honest = process(&service, message("well")).await;
    anyhow::ensure!(
        honest.delivery().is_some_and(edits_body),
        "no disclaimer: {honest:?}"
    );
    let times = decisions(&service, "well").await?;
    let median = micros(quantile(&times, 0.5));
    let alone = tail(&times);
    table.figure(
        format!("alone (median {median:.1} µs)"),
        format!("{alone:.2} ms"),
    );
    for (name, generator, size) in MESSAGES {
        let bytes = generator(size);
        let started = Instant::now();
        let outcome = process(&service, of_bytes(bytes.clone())).await;
        let one = started.elapsed().as_secs_f64() * 1e3;
        let became = match outcome.verdict() {
            Verdict::Accept if outcome.delivery().is_some_and(edits_body) => "edited",
            Verdict::Accept => "left as it is",
            Verdict::Reject(_) => "refused",
            _ => "deferred",
        };
        let ended = Arc::new(AtomicBool::new(false));
        let hostile: Vec<_> = (0..HOSTILE)
            .map(|_| {
                let again = (Arc::clone(&service), bytes.clone(), Arc::clone(&ended));
                tokio::spawn(async move {
                    let (service, bytes, ended) = again;
                    while !ended.load(Ordering::Relaxed) {
                        process(&service, of_bytes(bytes.clone())).await;
                    }
                })
            })
            .collect();
        let times = decisions(&service, "well").await?;
        ended.store(true, Ordering::Relaxed);
        for task in hostile {
            task.await?;
        }
        let what = format!("beside {HOSTILE} at a time: {name} ({became}, {one:.1} ms)");
        table.below(&what, tail(&times), alone + ADDED, " ms");
    }
    Ok(())
}

/// Settings of the standard policy: every message gets a disclaimer.
const DISCLAIMER: &str = "return-path = \"keep\"\n[domain.\"acme.test\"]\ndisclaimers = [\"legal\"]\nrelays = []\n\
                      [disclaimer.legal]\ntext = \"Acme Ltd\"\nhtml = \"<p>Acme Ltd</p>\"\n";

fn tail(times: &[Duration]) -> f64 {
    micros(quantile(times, 0.99)) / 1e3
}

async fn snapshot(
    policy: &str,
    lines: &str,
    decisions: Option<u32>,
) -> anyhow::Result<Arc<PolicySnapshot>> {
    let file = waxseal_testkit::waxseal::policy(policy);
    let text = format!(
        "hostname = \"bench.test\"\n[policy]\nfile = \"{}\"\n{lines}",
        file.display()
    );
    let config = read_text(Path::new("waxseal.toml"), &text)?;
    let limits = Limits::from(&config.limits);
    let sandbox = Sandbox::new(Limits {
        decisions: decisions.unwrap_or(limits.decisions),
        ..limits
    })?;
    let secrets = Arc::new(DerivedKeys::new(&Secret::from_bytes([7; 32])));
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    match PolicySnapshot::build(&sandbox, config, secrets, today).await {
        Ok(BuildReport { snapshot, .. }) => Ok(snapshot),
        Err(problems) => anyhow::bail!("{problems:?}"),
    }
}

async fn service(policy: &str) -> anyhow::Result<Arc<PolicyService>> {
    service_with(policy, "").await
}

async fn service_with(policy: &str, lines: &str) -> anyhow::Result<Arc<PolicyService>> {
    let snapshot = snapshot(policy, lines, None).await?;
    let versions = VersionHistory::new(snapshot, Timestamp::now());
    let ledger = Arc::new(ReadOnlyLedger::default());
    Ok(Arc::new(PolicyService::new(ledger, Arc::new(versions))))
}

async fn shadow(service: &PolicyService) -> anyhow::Result<(Arc<ShadowRun>, Subscription)> {
    let candidate = snapshot("waxseal_misbehaving", "", Some(1)).await?;
    let ledger = service.ledger();
    let shadow = ShadowRun::start(candidate, Share::ALL, ledger, Timestamp::now())?;
    let shadow = Arc::new(shadow);
    let subscription = service.observe(shadow.clone());
    Ok((shadow, subscription))
}

/// Processes a message of a logged-in user.
async fn process(service: &Arc<PolicyService>, message: Arc<Message>) -> Outcome {
    let intake = Intake::new(Arc::clone(service));
    let ann = Client::default().with_user("ann".to_owned());
    let transaction = intake.begin(&"mx".into());
    let Direction::Outgoing(outgoing) = transaction.classify(&ann, false) else {
        panic!("logins are outgoing");
    };
    intake.process(outgoing, message).await
}

fn edits_body(delivery: &Delivery) -> bool {
    delivery.edits.body.is_some()
}

/// Times of good decisions, sorted, waiting for a thread included.
async fn decisions(service: &Arc<PolicyService>, subject: &str) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let (service, message) = (Arc::clone(service), message(subject));
        let started = Instant::now();
        // A task of its own, as each connection is one.
        let outcome = tokio::spawn(async move { process(&service, message).await }).await?;
        times.push(started.elapsed());
        if let Some(failure) = outcome.failure() {
            anyhow::bail!("a good message failed: {failure}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    times.sort_unstable();
    Ok(times)
}

/// Messages that make the policy loop, one after the other.
async fn endless(service: Arc<PolicyService>, ended: Arc<AtomicBool>) {
    while !ended.load(Ordering::Relaxed) {
        process(&service, message("loop")).await;
    }
}

fn message(subject: &str) -> Arc<Message> {
    let content = format!("From: a@acme.test\r\nSubject: {subject}\r\n\r\nHello\r\n");
    of_bytes(content.into_bytes())
}

fn of_bytes(content: Vec<u8>) -> Arc<Message> {
    let message = Message::builder(Content::new(content), Timestamp::now())
        .queue_id("4F00D")
        .listener("submission")
        // Mail of the null sender gets no disclaimer.
        .sender(ReversePath::parse_bytes(b"a@acme.test").unwrap_or_default());
    Arc::new(message.build())
}
