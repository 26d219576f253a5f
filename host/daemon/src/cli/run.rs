//! `waxseal run`: the daemon.

use std::io;

use clap::Args;

use crate::daemon::{self, DaemonError};
use crate::log::{Format, Lines};
use tracing_subscriber::EnvFilter;
use waxseal::config::Config;

use super::support::{Status, runtime, show_problems};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Allow running as root (for tests, and for containers with a single user)
    #[arg(long)]
    allow_root: bool,
}

/// Rejects running as root: an exploited defect would have all privileges.
pub(super) fn refuse_root(arguments: &Arguments) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() && !arguments.allow_root {
        anyhow::bail!(
            "the daemon does not run as root. Create a user (useradd --system waxseal) that owns the state folder \
             and the keys, and start the daemon as that user: `User=waxseal` in the systemd unit \
             (examples/systemd/waxseal.service), or `setpriv --reuid waxseal --regid waxseal --init-groups \
             waxseal run`. If there is no other user, use --allow-root"
        );
    }
    Ok(())
}

pub(super) fn run(config: Config) -> anyhow::Result<Status> {
    start_log(&config);
    let runtime = runtime()?;
    let ended = runtime.block_on(daemon::run(config));
    // A policy or a store that hangs must not block the exit.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Ok(Status::Done),
        Err(DaemonError::Problems(problems)) => {
            show_problems(&problems);
            anyhow::bail!("not started: {} problem(s)", problems.len());
        }
        Err(error) => Err(error.into()),
    }
}

/// Initializes logging to standard error. `WAXSEAL_LOG` overrides the configured
/// level (`waxseal=debug`).
fn start_log(config: &Config) {
    let level = config.log.level.to_string();
    let filter = EnvFilter::try_from_env("WAXSEAL_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let format = match config.log.json {
        true => Format::Json,
        false => Format::Text,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Lines::new(format, io::stderr))
        .with_target(false);
    match format {
        Format::Json => log.json().flatten_event(true).init(),
        Format::Text => log.init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        // A panic message can contain mail content; the log escapes it.
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("(no message)");
        tracing::error!(place, "panicked: {text}");
    }));
}
