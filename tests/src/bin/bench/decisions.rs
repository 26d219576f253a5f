//! Decisions alone: a fresh instance for each, message parsed beforehand.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::{Timestamp, Zoned};
use waxseal::message::{Client, Content, Message, Recipient, ReversePath};
use waxseal::runtime::{Facts, Limits, Policy, Sandbox};

use crate::bare::Bare;
use crate::mails::mail;
use crate::settings::settings;
use crate::table::Table;
use crate::units::{micros, quantile, thousands};

/// How long one kind of decision is repeated, in each round.
const TIME: Duration = Duration::from_millis(300);

/// Rounds that all kinds take turns in: whatever else the machine does hits all
/// alike.
const ROUNDS: usize = 5;

/// How long decisions are repeated that are not measured in turns.
pub(crate) const ALONE: Duration = Duration::from_millis(1500);

/// Longest median of a decision by the standard policy, in microseconds.
const TARGET: f64 = 15.0;

/// The same of a small policy.
const SMALL: f64 = 12.0;

/// Facts that are there at once.
struct Given(Timestamp);

impl Facts for Given {
    fn now(&self) -> Zoned {
        self.0.to_zoned(jiff::tz::TimeZone::UTC)
    }

    fn lookup(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn relay_usable(&self, _: &str) -> bool {
        true
    }

    fn relay_sent(&self, _: &str) -> u64 {
        0
    }

    fn domain_authenticated(&self, _: &str) -> bool {
        true
    }
}

/// One kind of decision.
struct Kind<'a> {
    what: &'a str,
    policy: &'a Policy,
    message: &'a Arc<Message>,
    target: f64,
    taken: Taken,
}

/// What single decisions of a kind took.
#[derive(Default)]
pub(crate) struct Taken {
    times: Vec<Duration>,
    /// Of each: all take as many.
    pub(crate) instructions: u64,
}

impl Taken {
    /// Microseconds below which that part of the decisions lies.
    pub(crate) fn below(&mut self, part: f64) -> f64 {
        self.times.sort_unstable();
        micros(quantile(&self.times, part))
    }

    /// Decides again and again, for that time.
    pub(crate) async fn take(
        &mut self,
        policy: &Policy,
        message: &Arc<Message>,
        time: Duration,
    ) -> anyhow::Result<()> {
        let facts: Arc<dyn Facts> = Arc::new(Given(message.arrival));
        let end = Instant::now() + time;
        while Instant::now() < end {
            let started = Instant::now();
            let decided = policy
                .decide(Arc::clone(message), Arc::clone(&facts), [1; 32].into())
                .await;
            self.times.push(started.elapsed());
            decided.decision?;
            self.instructions = decided.instructions;
        }
        Ok(())
    }
}

/// Measures decisions, all kinds in turns.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("Decisions: a fresh instance each, one thread (median; 99 of 100)");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sandbox = Sandbox::new(limits())?;
    let load = |name: &str, settings: String| {
        let component = std::fs::read(waxseal_testkit::waxseal::policy(name))?;
        let loaded =
            runtime.block_on(sandbox.load(component.into(), settings.into(), &[7; 32].into()));
        loaded
            .map(Arc::new)
            .with_context(|| format!("loading {name}"))
    };
    let few = load("waxseal_standard", settings(200))?;
    let many = load("waxseal_standard", settings(2000))?;
    let minimal = load("rust_minimal", String::new())?;
    let (small, large) = (message(50 << 10), message(20 << 20));
    let kind = |what, policy, message, target| Kind {
        what,
        policy,
        message,
        target,
        taken: Taken::default(),
    };
    let mut kinds = [
        kind("standard policy, 200 domains, 50 KB", &few, &small, TARGET),
        kind("standard policy, 200 domains, 20 MB", &few, &large, TARGET),
        kind(
            "standard policy, 2,000 domains, 50 KB",
            &many,
            &small,
            TARGET,
        ),
        kind(
            "examples/policies/rust-minimal, 50 KB",
            &minimal,
            &small,
            SMALL,
        ),
    ];
    let component = std::fs::read(waxseal_testkit::waxseal::policy("rust_minimal"))?;
    let bare = Bare::new(&component)?;
    let mut of_bare = Vec::with_capacity(1 << 18);
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            let taking = kind.taken.take(kind.policy, kind.message, TIME);
            runtime.block_on(taking)?;
        }
        bare.take(&mut of_bare, TIME)?;
    }
    for kind in &mut kinds {
        let (median, tail) = (kind.taken.below(0.5), kind.taken.below(0.99));
        let (what, instructions) = (kind.what, kind.taken.instructions);
        let what = format!("{what} ({instructions} instructions; p99 {tail:.1} µs)");
        table.below(&what, median, kind.target, " µs");
    }
    of_bare.sort_unstable();
    table.figure(
        "examples/policies/rust-minimal, the bare wasmtime calls (instance, call, drop)",
        format!("{:.1} µs", micros(quantile(&of_bare, 0.5))),
    );
    let cores = thread::available_parallelism()?.get();
    let rate = on_all_cores(&few, &small, cores)?;
    table.figure(
        format!("standard policy, 200 domains, 50 KB, on {cores} cores"),
        format!("{}/s", thousands(rate)),
    );
    Ok(())
}

/// Decides that many times, and no more.
pub(crate) fn many(name: &str, times: usize) -> anyhow::Result<()> {
    let settings = match name {
        "waxseal_standard" => settings(200),
        _ => String::new(),
    };
    let component = std::fs::read(waxseal_testkit::waxseal::policy(name))?;
    let message = message(50 << 10);
    let facts: Arc<dyn Facts> = Arc::new(Given(message.arrival));
    let sandbox = Sandbox::new(limits())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let secret = [7; 32].into();
        let loading = sandbox.load(component.into(), settings.into(), &secret);
        let policy = loading.await?;
        for _ in 0..times {
            let (message, facts) = (Arc::clone(&message), Arc::clone(&facts));
            policy
                .decide(message, facts, [1; 32].into())
                .await
                .decision?;
        }
        Ok(())
    })
}

/// What a configuration without a word about limits has, but for the wall clock:
/// on a machine that is busy with other things a thread may wait for a quarter
/// of a second, which would end the benchmark and says nothing about speed.
pub(crate) fn limits() -> Limits {
    let text = "hostname = \"bench.test\"\n[policy]\nfile = \"policy.wasm\"\n";
    let config =
        waxseal::config::read_text(Path::new("waxseal.toml"), text).expect("a configuration");
    Limits {
        time: Duration::from_secs(10),
        ..Limits::from(&config.limits)
    }
}

/// A message whose structure is known already.
pub(crate) fn message(size: usize) -> Arc<Message> {
    let mail = mail(size, 0, true);
    let address = |text: &str| waxseal::message::Address::parse(text).expect("an address");
    let content = Content::new(mail.bytes());
    // Its structure is read on the first question about it.
    let _ = content.structure();
    let recipients = mail.recipients.iter();
    let recipients = recipients.map(|recipient| Recipient::new(address(recipient), false));
    let message = Message::builder(content, Timestamp::now())
        .queue_id("4F00D")
        .listener("submission")
        .client(Client::default().with_user("alice".to_owned()))
        .sender(ReversePath::Address(address(&mail.sender)))
        .recipients(recipients);
    Arc::new(message.build())
}

/// Decisions per second of all cores together.
fn on_all_cores(policy: &Arc<Policy>, message: &Arc<Message>, cores: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            let (policy, message) = (Arc::clone(policy), Arc::clone(message));
            thread::spawn(move || -> anyhow::Result<usize> {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let mut taken = Taken::default();
                runtime.block_on(taken.take(&policy, &message, ALONE))?;
                Ok(taken.times.len())
            })
        })
        .collect();
    let mut decided = 0;
    for thread in threads {
        decided += thread.join().expect("no panic")?;
    }
    Ok(decided as f64 / started.elapsed().as_secs_f64())
}
