//! The command line: its arguments, and which subcommand runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::support::{Status, show_problems};
use super::{
    check, compile, dkim, inspect, new, policy, postfix, replay, run, terminal, test, trial,
};
use crate::config::{self, ConfigError};
use crate::printable::Text;

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
