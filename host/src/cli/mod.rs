//! The `waxseal` command. One file a subcommand; this one has what they share.

mod check;
mod comparison;
mod compile;
mod dkim;
mod inspect;
mod new;
mod policy;
mod postfix;
mod replay;
mod report;
mod run;
mod terminal;
mod test;
mod trial;
mod versions;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config, ConfigError, Problem};
use crate::log::{Format, Lines};
use crate::printable::Text;
use crate::runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};
use crate::store::Secret;
use clap::{Parser, Subcommand};

/// Mail policies as WebAssembly components, beside the mail server you already
/// run.
#[derive(Parser)]
#[command(name = "waxseal", version, about, max_term_width = 100)]
struct Arguments {
    /// The host's configuration.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "waxseal.toml"
    )]
    config: PathBuf,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon: the milter that decides on mail.
    Run(run::Arguments),
    /// Check configuration, settings, keys and policy; tell all problems at once.
    Check(check::Arguments),
    /// Run one message through the pipeline, changing no counter: print what
    /// was decided and why.
    Try(trial::Arguments),
    /// Run policy tests: sample mail, and what is expected to become of it.
    Test(test::Arguments),
    /// Have another version decide on recorded mail; make test cases of it.
    Replay(Box<replay::Arguments>),
    /// Make DKIM keys, show the DNS records to publish.
    #[command(subcommand)]
    Dkim(dkim::Command),
    /// See, swap and roll back the policy of the running daemon.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print the Postfix configuration that goes with this one.
    Postfix(postfix::Arguments),
    Inspect(inspect::Arguments),
    New(new::Arguments),
    /// Compile what the daemon orders on stdin.
    #[command(hide = true)]
    Compile,
}

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

/// Runs the command line. Exit code 2: it could not be asked.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(&arguments) {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::No) => ExitCode::from(1),
        Ok(Status::NotAsked) => ExitCode::from(2),
        Err(error) => {
            match error.downcast_ref::<ConfigError>() {
                Some(ConfigError::Problems(problems)) => show_problems(problems),
                _ => terminal::error_line!("waxseal: {error:#}"),
            }
            ExitCode::from(2)
        }
    }
}

fn dispatch(arguments: &Arguments) -> anyhow::Result<Status> {
    let json = arguments.json;
    let read = || config::read(&arguments.config);
    match &arguments.command {
        Command::Run(arguments) => {
            run::refuse_root(arguments)?;
            run::run(read()?)
        }
        Command::Check(check) => check::run(check, &arguments.config, json),
        Command::Try(trial) => trial::run(trial, read()?, json),
        Command::Test(test) => test::run(test, &arguments.config, json),
        Command::Replay(arguments) => replay::run(arguments, read()?, json),
        Command::Dkim(command) => finish(|out| dkim::run(command, &read()?, json, out)),
        Command::Inspect(inspect) => finish(|out| inspect::run(inspect, json, out)),
        Command::New(new) => finish(|out| new::run(new, json, out)),
        Command::Compile => compile::run(),
        Command::Policy(command) => {
            let daemon = policy::Daemon::of(&arguments.config)?;
            finish(|out| policy::run(command, &daemon, json, out))
        }
        Command::Postfix(postfix) => finish(|out| postfix::run(postfix, &read()?, json, out)),
    }
}

/// Runs a command that prints.
fn finish(command: impl FnOnce(&mut Text) -> anyhow::Result<Status>) -> anyhow::Result<Status> {
    let mut out = Text::new();
    let status = command(&mut out)?;
    terminal::print(&out)?;
    Ok(status)
}

/// Problems for people, on stderr.
fn show_problems(problems: &[Problem]) {
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
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .event_interval(LOOK_ROUND)
        .global_queue_interval(LOOK_ROUND)
        .enable_all()
        .build()
}

/// The daemon's secret, or another where there is none yet or this user may not
/// read it: commands that change nothing make none, and nothing of what it is
/// used for leaves this process.
fn trial_secret(config: &Config) -> Secret {
    let secret = Secret::open_to_read(&config.state).ok().flatten();
    secret.unwrap_or_else(|| Secret::from_bytes([0; 32]))
}

/// A sandbox for a few decisions. What the daemon has compiled need not be
/// compiled again, where it is ours to read.
fn trial_sandbox(config: &Config, secret: &Secret) -> Result<Sandbox, LoadError> {
    let cache = CodeCache::read_only(&config.state.join(CODE_FOLDER), secret);
    Sandbox::builder(Limits::from(&config.limits))
        .for_trials()
        .compiler(Compiler::this_program())
        .cache(cache)
        .build()
}

/// A log for commands other than `run`: what is wrong, on stderr.
fn quiet_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WAXSEAL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Lines::new(Format::Text, io::stderr))
        .without_time()
        .try_init();
}
