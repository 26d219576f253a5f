//! Helpers that several subcommands use: exit status, runtime, trial sandbox, log.

use std::io;

use super::terminal;
use crate::config::{self, Config, Problem};
use crate::crypto::Secret;
use crate::log::{Format, Lines};
use crate::printable::Text;
use crate::runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done, or yes: exit code 0.
    Done,
    /// The answer is no: exit code 1.
    No,
    /// It could not be asked, and why has been told: exit code 2.
    NotAsked,
}

/// Problems for people, on stderr.
pub(super) fn show_problems(problems: &[Problem]) {
    let colors = terminal::errors_have_colors();
    let mut text = Text::with_colors(colors);
    text.block(&config::render(problems, colors));
    let _ = writeln!(text);
    terminal::print_errors(&text);
}

/// How many tasks a thread runs before it looks what else is there: new
/// connections, bytes that have come, tasks of nobody. A policy that computes
/// keeps its thread for some milliseconds at a time; the defaults of tokio (61)
/// would let everybody else's mail wait for a third of a second then.
const LOOK_ROUND: u32 = 1;

/// A runtime for commands that need one.
pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .event_interval(LOOK_ROUND)
        .global_queue_interval(LOOK_ROUND)
        .enable_all()
        .build()
}

/// The daemon's secret, or another where there is none yet or this user may not
/// read it: commands that change nothing make none, and nothing of what it is
/// used for leaves this process.
pub(super) fn trial_secret(config: &Config) -> Secret {
    let secret = Secret::open_to_read(&config.state).ok().flatten();
    secret.unwrap_or_else(|| Secret::from_bytes([0; 32]))
}

/// A sandbox for a few decisions. What the daemon has compiled need not be
/// compiled again, where it is ours to read.
pub(super) fn trial_sandbox(config: &Config, secret: &Secret) -> Result<Sandbox, LoadError> {
    let cache = CodeCache::read_only(&config.state.join(CODE_FOLDER), secret);
    Sandbox::builder(Limits::from(&config.limits))
        .for_trials()
        .compiler(Compiler::this_program())
        .cache(cache)
        .build()
}

/// A log for commands other than `run`: what is wrong, on stderr.
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
