//! `waxseal policy`: the version in service, swapping it, going back.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::support::{Status, runtime};
use super::{comparison, terminal, versions};
use crate::admin::api::{self, ActivationResponse, ErrorBody, Swap};
use crate::admin::{Answer, Client};
use crate::config::{self, ConfigError, Share};
use crate::printable::Text;

/// What is asked of the running daemon.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the version in service: since when and why, what it has done; what
    /// was in service before; what was refused and why.
    Status,
    /// Check another policy and put it in service, without a restart. What is in
    /// service stays if anything is wrong.
    Swap(SwapArguments),
    /// Go back to an earlier policy, at once: component, settings and tables.
    /// Configuration and keys stay as they were last read.
    Rollback(RollbackArguments),
    /// Have a candidate decide on live mail, without effect, beside the version
    /// in service.
    Shadow(ShadowArguments),
    /// Show what the candidate in shadow decides otherwise.
    Diff,
    /// Put the candidate in shadow in service.
    Promote(PromoteArguments),
}

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    /// Number of the version, of those that `policy status` marks with `*`; the
    /// newest that has decided on messages by default.
    version: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct PromoteArguments {
    /// Promote a candidate that failed on more messages than the version in
    /// service.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShadowArguments {
    /// The candidate's component.
    #[arg(required_unless_present = "stop")]
    file: Option<PathBuf>,
    /// Its settings; those that waxseal.toml names by default.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The part of the messages that it decides on.
    #[arg(long, value_name = "PERCENT", default_value = "100%")]
    share: Share,
    /// Take the candidate out of shadow.
    #[arg(long, conflicts_with_all = ["file", "settings", "share"])]
    stop: bool,
}

#[derive(Debug, Args)]
pub(super) struct SwapArguments {
    /// The policy's component. The one that waxseal.toml names brings the
    /// configured files back.
    file: PathBuf,
    /// Its settings; those that waxseal.toml names by default.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// The running daemon, as far as a command has to know it.
pub(super) struct Daemon {
    socket: PathBuf,
    /// Of the times that are shown.
    time_zone: TimeZone,
}

impl Daemon {
    /// The daemon of a configuration. Mistakes in the file are no reason not to
    /// ask: it may be because of them that somebody wants to go back.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn of(path: &Path) -> Result<Self, ConfigError> {
        let (config, problems) = config::examine(path)?;
        let daemon = match config {
            Some(config) => Self {
                socket: config.admin.socket,
                time_zone: config.time_zone,
            },
            None => Self {
                socket: path.with_file_name(config::DEFAULT_SOCKET),
                time_zone: TimeZone::UTC,
            },
        };
        if !problems.is_empty() {
            terminal::error_line!(
                "waxseal: {} has {} mistake(s), which `waxseal check` shows; the daemon is asked at {}",
                path.display(),
                problems.len(),
                daemon.socket.display()
            );
        }
        Ok(daemon)
    }
}

pub(super) fn run(
    command: &Command,
    daemon: &Daemon,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let client = Client::new(&daemon.socket);
    let runtime = runtime()?;
    match command {
        Command::Status => {
            let status = runtime.block_on(client.status());
            told(status, json, out, |status, out| {
                versions::show(status, &daemon.time_zone, out)
            })
        }
        Command::Swap(arguments) => {
            let swap = Swap {
                file: absolute(&arguments.file)?,
                settings: arguments.settings.as_deref().map(absolute).transpose()?,
            };
            told(runtime.block_on(client.swap(&swap)), json, out, in_service)
        }
        Command::Rollback(arguments) => {
            let rollback = api::Rollback {
                version: arguments.version,
            };
            let answer = runtime.block_on(client.roll_back(&rollback));
            told(answer, json, out, in_service)
        }
        Command::Shadow(arguments) => {
            let answer = match &arguments.file {
                Some(file) => {
                    let shadow = api::StartShadowRequest {
                        file: absolute(file)?,
                        settings: arguments.settings.as_deref().map(absolute).transpose()?,
                        share: arguments.share.to_string(),
                    };
                    runtime.block_on(client.shadow(&shadow))
                }
                None => runtime.block_on(client.stop_shadow()),
            };
            told(answer, json, out, |comparison, out| {
                match arguments.stop {
                    true => writeln!(out, "no longer in shadow\n")?,
                    false => writeln!(out, "in shadow; see `waxseal policy diff`\n")?,
                }
                comparison::show(comparison, &daemon.time_zone, out)
            })
        }
        Command::Diff => told(runtime.block_on(client.diff()), json, out, |diff, out| {
            comparison::show(diff, &daemon.time_zone, out)
        }),
        Command::Promote(arguments) => {
            let promote = api::Promote {
                force: arguments.force,
            };
            let answer = runtime.block_on(client.promote(&promote));
            told(answer, json, out, in_service)
        }
    }
}

/// The daemon has a working folder of its own.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{}", path.display()))
}

fn in_service(answer: &ActivationResponse, out: &mut Text) -> io::Result<()> {
    let version = &answer.version;
    writeln!(
        out,
        "in service: version {}, {} ({})",
        version.number, version.policy, version.why
    )?;
    answer
        .notes
        .iter()
        .try_for_each(|note| writeln!(out, "  {note}"))
}

/// Prints an answer, or the no, which goes to stderr for people.
fn told<T: Serialize>(
    answer: Answer<T>,
    json: bool,
    out: &mut Text,
    show: impl FnOnce(&T, &mut Text) -> io::Result<()>,
) -> anyhow::Result<Status> {
    match answer? {
        Ok(answer) => {
            match json {
                true => out.json(&answer)?,
                false => show(&answer, out)?,
            }
            Ok(Status::Done)
        }
        Err(no) => {
            match json {
                true => out.json(&no)?,
                false => refused(&no),
            }
            Ok(Status::No)
        }
    }
}

fn refused(no: &ErrorBody) {
    for problem in &no.problems {
        terminal::error_line!("  {problem}");
    }
    match no.problems.is_empty() {
        true => terminal::error_line!("waxseal: {}", no.error),
        false => terminal::error_line!("waxseal: {}; what is in service stays", no.error),
    }
}
