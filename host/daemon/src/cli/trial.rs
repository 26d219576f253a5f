//! `waxseal try`: one message through the pipeline, without side effects.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::support::{Status, quiet_log, runtime, show_problems, trial_sandbox, trial_secret};
use super::{report, terminal};
use waxseal::config::{Config, Mode};
use waxseal::intake::DryRun;
use waxseal::pipeline::{BuildReport, DerivedKeys, Outcome, PolicySnapshot};
use waxseal::quota::{Day, ReadOnlyLedger};
use waxseal::state::{self, StateOptions};
use waxseal_core::decision::Verdict;
use waxseal_core::message::{Address, Client, Content, Message, Recipient, ReversePath};
use waxseal_core::printable::Text;
use waxseal_system::input_file;

/// Run one message through the pipeline without side effects, and print the decision
///
/// Reads the current counters and relay states and changes none. Without --user and
/// --client-ip, the message counts as submitted by its author, authenticated with the
/// address in From. The envelope defaults to the addresses in the header.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Message file (RFC 5322)
    message: PathBuf,
    /// Envelope sender; "" or "<>" is the null sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Envelope recipient; can be repeated
    #[arg(long = "recipient", value_name = "ADDRESS")]
    recipients: Vec<Address>,
    /// Authenticated user
    #[arg(long)]
    user: Option<String>,
    /// IP address of the client
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// Arrival time of the message (RFC 3339). Default: now
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
    /// Write the resulting message to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, config: Config, json: bool) -> anyhow::Result<Status> {
    quiet_log();
    runtime()?.block_on(try_message(arguments, config, json))
}

async fn try_message(arguments: &Arguments, config: Config, json: bool) -> anyhow::Result<Status> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let message = read_message(arguments, &config, now)?;
    let day = Day::of(now, &config.time_zone);
    let dry_run = DryRun::new(counters(&config, &day)?);
    let secret = trial_secret(&config);
    let secrets = Arc::new(DerivedKeys::new(&secret));
    let sandbox = trial_sandbox(&config, &secret)?;
    let BuildReport { snapshot, .. } =
        match PolicySnapshot::build(&sandbox, config, secrets, day.date()).await {
            Ok(built) => built,
            Err(problems) => {
                show_problems(&problems);
                bail!(
                    "{} problem(s) in files that the configuration names",
                    problems.len()
                );
            }
        };
    let message = Arc::new(message);
    let Ok(outgoing) = DryRun::classify(&snapshot, None, &message) else {
        return passing(arguments, &message, json);
    };
    let outcome = dry_run.process(&outgoing).await;
    write_output(
        arguments.output.as_deref(),
        &outcome.delivery().map_or_else(
            || message.content.bytes().to_vec(),
            |delivery| delivery.edits.apply(&message.content),
        ),
    )?;
    let mut out = Text::new();
    if json {
        out.json(&report::Decided::of(&message, &outcome))?;
    } else {
        report::text(&message, &outcome, &mut out)?;
    }
    terminal::print(&out)?;
    Ok(status(&outcome))
}

/// Reads the counters; empty if the daemon has never run.
fn counters(config: &Config, day: &Day) -> anyhow::Result<ReadOnlyLedger> {
    Ok(match state::open_read_only(&StateOptions::from(config))? {
        Some(store) => ReadOnlyLedger::read(&**store.counters(), day)?,
        None => ReadOnlyLedger::with([]),
    })
}

fn status(outcome: &Outcome) -> Status {
    match (outcome.failure(), outcome.verdict()) {
        (None, Verdict::Accept) => Status::Done,
        _ => Status::Negative,
    }
}

#[derive(Serialize)]
struct Passing<'a> {
    verdict: &'a Verdict,
    outgoing: bool,
    reasons: [&'static str; 1],
}

const NOT_OUTGOING: &str = "message is not outgoing (client is neither authenticated nor in a listed network, see [outgoing]): passed unchanged";

fn passing(arguments: &Arguments, message: &Message, json: bool) -> anyhow::Result<Status> {
    write_output(arguments.output.as_deref(), message.content.bytes())?;
    let mut out = Text::new();
    if json {
        let passing = Passing {
            verdict: &Verdict::Accept,
            outgoing: false,
            reasons: [NOT_OUTGOING],
        };
        out.json(&passing)?;
    } else {
        writeln!(out, "{NOT_OUTGOING}")?;
    }
    terminal::print(&out)?;
    Ok(Status::Done)
}

fn write_output(file: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    fs::write(file, bytes).with_context(|| format!("writing the message to {}", file.display()))
}

fn read_message(arguments: &Arguments, config: &Config, now: Timestamp) -> anyhow::Result<Message> {
    let file = arguments.message.display();
    let bytes = input_file::read(&arguments.message, input_file::MESSAGE)
        .with_context(|| format!("reading the message {file}"))?;
    let content = Content::of_file(bytes);
    if content.fields().is_empty() {
        bail!("{file}: invalid message (RFC 5322): no header");
    }
    let sender = match &arguments.sender {
        Some(sender) => ReversePath::parse_bytes(sender.as_bytes()).context("--sender")?,
        None => author(&content)?,
    };
    let addresses = match arguments.recipients.as_slice() {
        [] => content.header_recipients(),
        given => given.to_vec(),
    };
    if addresses.is_empty() {
        bail!("{file}: no recipient in To, Cc or Bcc: use --recipient");
    }
    let recipient = |address: Address| {
        let local = config.is_local(&address);
        Recipient::new(address, local)
    };
    // Default: submitted by its author.
    let submitter = || match arguments.client_ip {
        None if config.outgoing.logins => Some(content.author().into_iter().next()?.address),
        _ => None,
    };
    let listener = config
        .listeners
        .iter()
        .find(|listener| listener.mode != Mode::Split);
    let client = Client::default()
        .with_address(arguments.client_ip)
        .with_user(arguments.user.clone().or_else(submitter));
    let listener = listener.map_or("try", |listener| &listener.name);
    Ok(Message::builder(content, now)
        .queue_id("TRY")
        .listener(listener)
        .client(client)
        .sender(sender)
        .recipients(addresses.into_iter().map(recipient))
        .build())
}

fn author(content: &Content) -> anyhow::Result<ReversePath> {
    let author = content
        .author()
        .into_iter()
        .next()
        .context("the message has no author in From: use --sender")?;
    let address = Address::parse(&author.address)
        .with_context(|| format!("invalid author address {}", author.address))?;
    Ok(ReversePath::Address(address))
}
