//! Helpers that several subcommands use: exit status, runtime, trial sandbox, log.

use std::io;

use super::terminal;
use crate::log::{Format, Lines};
use crate::problems::render;
use waxseal::config::{Config, Problem};
use waxseal::crypto::Secret;
use waxseal_core::printable::Text;
use waxseal_runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};

/// Result of a command, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Success: exit code 0.
    Done,
    /// A negative result (a failed check or test, a rejected request): exit code 1.
    Negative,
    /// The command could not be executed and the error has been printed: exit code 2.
    Failed,
}

/// Prints problems with their source lines on standard error.
pub(super) fn show_problems(problems: &[Problem]) {
    let colors = terminal::errors_have_colors();
    let mut text = Text::with_colors(colors);
    text.block(&render(problems, colors));
    let _ = writeln!(text);
    terminal::print_errors(&text);
}

/// Tokio's `event_interval` and `global_queue_interval`: poll I/O and the
/// injection queue after every task. A computing policy occupies its thread for
/// some milliseconds at a time; with tokio's default (61), other mail would wait
/// for a third of a second.
const POLL_INTERVAL: u32 = 1;

/// A multi-threaded runtime.
pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .event_interval(POLL_INTERVAL)
        .global_queue_interval(POLL_INTERVAL)
        .enable_all()
        .build()
}

/// The daemon's secret, or zeros if it does not exist or this user may not read
/// it. Read-only commands never create a secret, and nothing derived from it
/// leaves this process.
pub(super) fn trial_secret(config: &Config) -> Secret {
    let secret = Secret::open_to_read(&config.state).ok().flatten();
    secret.unwrap_or_else(|| Secret::from_bytes([0; 32]))
}

/// A sandbox for a few decisions. Uses the daemon's code cache if this user may
/// read it.
pub(super) fn trial_sandbox(config: &Config, secret: &Secret) -> Result<Sandbox, LoadError> {
    let cache = CodeCache::read_only(&config.state.join(CODE_FOLDER), secret);
    Sandbox::builder(Limits::from(&config.limits))
        .for_trials()
        .compiler(Compiler::this_program())
        .cache(cache)
        .build()
}

/// Logging for commands other than `run`: errors only, on standard error.
pub(super) fn quiet_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WAXSEAL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Lines::new(Format::Text, io::stderr))
        .without_time()
        .try_init();
}
