//! `waxseal replay`: decisions of another policy version on recorded messages.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::support::{Status, quiet_log, runtime, show_problems, trial_secret};
use super::terminal;
use crate::testing::recorded_case;
use waxseal::comparison::diff;
use waxseal::config::Config;
use waxseal::pipeline::{BuildReport, DerivedKeys, PolicyId, PolicySnapshot};
use waxseal::record::{self, Messages, Options, Recorded, Report};
use waxseal_core::printable::Text;
use waxseal_runtime::{Compiler, Limits, Sandbox};
use waxseal_system::secure_fs::{Directory, FileMode};

/// Replay recorded messages through another policy version and print the differences
///
/// The policy gets the recorded facts, time and randomness; nothing is charged or
/// sent. Exit code 0: all decisions are identical; 1: at least one differs.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Recording: the folder of [record], one of its segments, or a file of entries
    recording: PathBuf,
    /// Component of the policy. Default: the one in waxseal.toml
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Settings file. Default: the one in waxseal.toml
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Include only messages that arrived at or after this time: RFC 3339, or a date or
    /// time in the time zone of waxseal.toml
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Include only messages that arrived before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Replay at most N messages, from the first one
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Folder of message files, for a recording that has only their digests
    #[arg(long, value_name = "FOLDER")]
    messages: Option<PathBuf>,
    /// Export this message and its recorded decision as a test case instead of replaying
    #[arg(long, value_name = "QUEUE-ID", requires = "write", conflicts_with_all = ["policy", "settings", "limit"])]
    case: Option<String>,
    /// Folder for the test case
    #[arg(long, value_name = "FOLDER", requires = "case")]
    write: Option<PathBuf>,
}

/// An instant, or a local time whose time zone is not known yet.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Instant(Timestamp),
    Local(DateTime),
}

impl std::str::FromStr for Moment {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(instant) => Ok(Self::Instant(instant)),
            Err(_) => text.parse().map(Self::Local),
        }
    }
}

impl Moment {
    fn instant(self, zone: &TimeZone) -> anyhow::Result<Timestamp> {
        match self {
            Self::Instant(instant) => Ok(instant),
            Self::Local(local) => Ok(local.to_zoned(zone.clone())?.timestamp()),
        }
    }
}

pub(super) fn run(arguments: &Arguments, config: Config, json: bool) -> anyhow::Result<Status> {
    quiet_log();
    let messages = match &arguments.messages {
        Some(folder) => Messages::in_folder(folder)?,
        None => Messages::default(),
    };
    let moment = |moment: Option<Moment>| {
        moment
            .map(|moment| moment.instant(&config.time_zone))
            .transpose()
    };
    let options = Options {
        since: moment(arguments.since)?,
        until: moment(arguments.until)?,
        limit: arguments.limit,
        messages,
        parallel: std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    match (&arguments.case, &arguments.write) {
        (Some(queue_id), Some(folder)) => {
            write_case(arguments, &options, queue_id, folder, &config)
        }
        _ => runtime()?.block_on(replay(arguments, options, config, json)),
    }
}

async fn replay(
    arguments: &Arguments,
    options: Options,
    mut config: Config,
    json: bool,
) -> anyhow::Result<Status> {
    let recording = &arguments.recording;
    let reader = record::read(recording)?;
    let zone = config.time_zone.clone();
    if let Some(policy) = &arguments.policy {
        config.policy.file.clone_from(policy);
    }
    if arguments.settings.is_some() {
        config.policy.settings.clone_from(&arguments.settings);
    }
    let snapshot = snapshot(config, options.parallel).await?;
    let report = record::replay(&snapshot, reader, options).await;
    let mut out = Text::new();
    match json {
        true => out.json(&report)?,
        false => text(&report, &zone, &mut out)?,
    }
    terminal::print(&out)?;
    if report.compared == 0 {
        bail!("no message in {} could be replayed", recording.display());
    }
    Ok(match report.different {
        0 => Status::Done,
        _ => Status::Negative,
    })
}

/// Builds the version that replays.
async fn snapshot(mut config: Config, parallel: usize) -> anyhow::Result<Arc<PolicySnapshot>> {
    // A replay has no side effects: missing keys are not generated.
    config.dkim.generate = false;
    let mut limits = Limits::from(&config.limits);
    // All cores are busy, so a decision takes longer than in production.
    // The instruction limit is deterministic and stays.
    limits.time = limits.time.saturating_mul(10);
    limits.decisions = u32::try_from(parallel).unwrap_or(1);
    let sandbox = Sandbox::builder(limits)
        .compiler(Compiler::this_program())
        .build()?;
    let secrets = Arc::new(DerivedKeys::new(&trial_secret(&config)));
    let today = jiff::Zoned::now()
        .with_time_zone(config.time_zone.clone())
        .date();
    match PolicySnapshot::build(&sandbox, config, secrets, today).await {
        Ok(BuildReport { snapshot, .. }) => Ok(snapshot),
        Err(problems) => {
            show_problems(&problems);
            bail!("{} problem(s) in the replayed version", problems.len());
        }
    }
}

/// Exports a message as a test case.
fn write_case(
    arguments: &Arguments,
    options: &Options,
    queue_id: &str,
    folder: &Path,
    config: &Config,
) -> anyhow::Result<Status> {
    let recording = &arguments.recording;
    let found = record::read(recording)?
        .filter_map(Result::ok)
        .filter(|recorded| recorded.entry.queue_id == queue_id && options.selects(recorded));
    // Queue ids are reused: take the last match.
    let Some(recorded) = found.last() else {
        terminal::error_line!(
            "waxseal: queue id {queue_id} not found in {}",
            recording.display()
        );
        return Ok(Status::Negative);
    };
    let Some(bytes) = options.messages.find(&recorded) else {
        bail!(
            "{queue_id} was recorded without its message (SHA-256 {}): name the folder that has it with --messages",
            recorded.entry.message.sha256
        );
    };
    let name = file_name(&recorded);
    let path = std::path::absolute(&config.source.path)?;
    let (test, message) = (format!("{name}.toml"), format!("{name}.eml"));
    let text = recorded_case(&recorded.entry, &message, &path)?;
    let made = Directory::make(folder, 0o777);
    let made = made.with_context(|| format!("creating {}", folder.display()))?;
    for (name, bytes) in [(&message, bytes.as_slice()), (&test, text.as_bytes())] {
        // Private mail, same mode as in the recording.
        made.create(name.as_ref(), bytes, FileMode::Exactly(0o600))
            .with_context(|| format!("writing {}", folder.join(name).display()))?;
    }
    let test = folder.join(test);
    let mut out = Text::new();
    writeln!(out, "wrote {} and {message}", test.display())?;
    writeln!(out, "run it:  waxseal test {}", test.display())?;
    terminal::print(&out)?;
    Ok(Status::Done)
}

/// A queue id as a safe file name: recordings are untrusted input.
fn file_name(recorded: &Recorded) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    recorded.entry.queue_id.chars().map(safe).collect()
}

fn text(report: &Report, zone: &TimeZone, text: &mut Text) -> io::Result<()> {
    writeln!(
        text,
        "{} message(s){} replayed by {}",
        report.compared,
        period(report, zone),
        decider(&report.policy, report.settings.as_deref())
    )?;
    for recorded in &report.recorded {
        let then = decider(&recorded.policy, recorded.settings.as_deref());
        writeln!(text, "{:>8}  recorded from {then}", "")?;
    }
    writeln!(text, "{:>8}  identical", report.same)?;
    writeln!(
        text,
        "{:>8}  different, {} of them change the result for the message",
        report.different, report.behavioral
    )?;
    if report.missing > 0 {
        writeln!(
            text,
            "{:>8}  not replayed: the recording has only their digests (see --messages)",
            report.missing
        )?;
    }
    if report.unreadable > 0 {
        writeln!(text, "{:>8}  unreadable entries:", report.unreadable)?;
        for problem in &report.problems {
            writeln!(text, "{:>8}  {problem}", "")?;
        }
    }
    if !report.differences.is_empty() {
        writeln!(text, "\nDifferences, with the newest examples:")?;
        text.append(&diff::text(&report.differences, report.overflowed));
    }
    if report.unanswered > 0 {
        writeln!(
            text,
            "\n{} decision(s) requested facts that were not recorded; they were reported as absent:",
            report.unanswered
        )?;
        for (query, count) in &report.unanswered_queries {
            writeln!(text, "{count:>8}  {query}")?;
        }
    }
    if let (Some(then), Some(now)) = (&report.recorded_cost, &report.replayed_cost) {
        writeln!(
            text,
            "\nMedian per decision: {} instructions recorded, {} replayed; {} KiB of memory recorded, {} replayed",
            then.instructions,
            now.instructions,
            then.memory >> 10,
            now.memory >> 10
        )?;
    }
    Ok(())
}

/// A version on one line.
fn decider(policy: &PolicyId, settings: Option<&str>) -> String {
    let settings = settings.map_or(String::new(), |digest| {
        format!(", settings {}…", digest.get(..12).unwrap_or(digest))
    });
    format!("{policy}{settings}")
}

fn period(report: &Report, zone: &TimeZone) -> String {
    match (report.first, report.last) {
        (Some(first), Some(last)) => {
            let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S");
            format!(" from {} to {}", shown(first), shown(last))
        }
        _ => String::new(),
    }
}
