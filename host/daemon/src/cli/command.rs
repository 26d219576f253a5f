//! The command line: its arguments, and which subcommand runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::support::{Status, show_problems};
use super::{
    check, compile, dkim, inspect, new, policy, postfix, replay, run, terminal, test, trial,
};
use waxseal::config::{self, ConfigError};
use waxseal_core::printable::Text;

/// Routing, DKIM, disclaimers and sending limits for Postfix, decided by policies
/// that are WebAssembly components.
#[derive(Parser)]
#[command(name = "waxseal", version, about, max_term_width = 100)]
struct Arguments {
    /// Configuration file.
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
    /// Run the daemon (a milter)
    Run(run::Arguments),
    /// Check configuration, settings, keys and policy, and report all problems
    Check(check::Arguments),
    /// Run one message through the pipeline without side effects, and print the decision
    Try(trial::Arguments),
    /// Run policy tests
    Test(test::Arguments),
    /// Replay recorded messages through another policy version, or export them as test cases
    Replay(Box<replay::Arguments>),
    /// Generate DKIM keys and print their DNS records
    #[command(subcommand)]
    Dkim(dkim::Command),
    /// Show, replace and roll back the policy of the running daemon
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print the Postfix configuration for this Waxseal configuration
    Postfix(postfix::Arguments),
    Inspect(inspect::Arguments),
    New(new::Arguments),
    /// Compile one policy for the daemon (request on standard input)
    #[command(hide = true)]
    Compile,
}

/// Runs the command line. Exit code 2: the command could not be executed.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(&arguments) {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::Negative) => ExitCode::from(1),
        Ok(Status::Failed) => ExitCode::from(2),
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

/// Runs a command and prints its output.
fn finish(command: impl FnOnce(&mut Text) -> anyhow::Result<Status>) -> anyhow::Result<Status> {
    let mut out = Text::new();
    let status = command(&mut out)?;
    terminal::print(&out)?;
    Ok(status)
}
