//! `waxseal policy`: status, activation, rollback and shadow runs in the running daemon.

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
use waxseal::config::{self, ConfigError, Share};
use waxseal_core::printable::Text;

/// Show, replace and roll back the policy of the running daemon
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the active version with its statistics, earlier versions, and the last
    /// rejected version
    Status,
    /// Validate another policy and activate it without a restart. If validation fails,
    /// the active version remains active
    Swap(SwapArguments),
    /// Roll back to an earlier policy version: component, settings and tables.
    /// Configuration and keys are not rolled back
    Rollback(RollbackArguments),
    /// Run a candidate on live mail without applying its decisions (shadow run)
    Shadow(ShadowArguments),
    /// Show how the decisions of the shadow candidate differ
    Diff,
    /// Activate the shadow candidate
    Promote(PromoteArguments),
}

#[derive(Debug, Args)]
pub(super) struct RollbackArguments {
    /// Version number, one that `policy status` marks with `*`. Default: the newest
    /// one that has decided on messages
    version: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct PromoteArguments {
    /// Activate the candidate although it failed on more messages than the active version
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShadowArguments {
    /// Component of the candidate
    #[arg(required_unless_present = "stop")]
    file: Option<PathBuf>,
    /// Settings file. Default: the one in waxseal.toml
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Share of the messages that the candidate decides on
    #[arg(long, value_name = "PERCENT", default_value = "100%")]
    share: Share,
    /// Stop the shadow run
    #[arg(long, conflicts_with_all = ["file", "settings", "share"])]
    stop: bool,
}

#[derive(Debug, Args)]
pub(super) struct SwapArguments {
    /// Component of the policy. The component named in waxseal.toml restores the
    /// configured files
    file: PathBuf,
    /// Settings file. Default: the one in waxseal.toml
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// Connection data of the running daemon.
pub(super) struct Daemon {
    socket: PathBuf,
    /// Time zone of printed times.
    time_zone: TimeZone,
}

impl Daemon {
    /// The daemon of a configuration. Errors in the file are not fatal: they may be
    /// the reason for the rollback.
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
                "waxseal: {} has {} error(s) (see `waxseal check`); connecting to the daemon at {}",
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
            print_response(status, json, out, |status, out| {
                versions::show(status, &daemon.time_zone, out)
            })
        }
        Command::Swap(arguments) => {
            let swap = Swap {
                file: absolute(&arguments.file)?,
                settings: arguments.settings.as_deref().map(absolute).transpose()?,
            };
            print_response(runtime.block_on(client.swap(&swap)), json, out, activated)
        }
        Command::Rollback(arguments) => {
            let rollback = api::Rollback {
                version: arguments.version,
            };
            let answer = runtime.block_on(client.roll_back(&rollback));
            print_response(answer, json, out, activated)
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
            print_response(answer, json, out, |comparison, out| {
                match arguments.stop {
                    true => writeln!(out, "shadow run stopped\n")?,
                    false => writeln!(out, "shadow run started; see `waxseal policy diff`\n")?,
                }
                comparison::show(comparison, &daemon.time_zone, out)
            })
        }
        Command::Diff => print_response(runtime.block_on(client.diff()), json, out, |diff, out| {
            comparison::show(diff, &daemon.time_zone, out)
        }),
        Command::Promote(arguments) => {
            let promote = api::Promote {
                force: arguments.force,
            };
            let answer = runtime.block_on(client.promote(&promote));
            print_response(answer, json, out, activated)
        }
    }
}

/// The daemon has its own working directory.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{}", path.display()))
}

fn activated(answer: &ActivationResponse, out: &mut Text) -> io::Result<()> {
    let version = &answer.version;
    writeln!(
        out,
        "active: version {}, {} ({})",
        version.number, version.policy, version.reason
    )?;
    answer
        .notes
        .iter()
        .try_for_each(|note| writeln!(out, "  {note}"))
}

/// Prints a response; the text form of an error goes to standard error.
fn print_response<T: Serialize>(
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
        Err(body) => {
            match json {
                true => out.json(&body)?,
                false => print_error(&body),
            }
            Ok(Status::Negative)
        }
    }
}

fn print_error(body: &ErrorBody) {
    for problem in &body.problems {
        terminal::error_line!("  {problem}");
    }
    match body.problems.is_empty() {
        true => terminal::error_line!("waxseal: {}", body.error),
        false => terminal::error_line!("waxseal: {}; the active version is unchanged", body.error),
    }
}
