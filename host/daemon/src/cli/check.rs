//! `waxseal check`: validation of configuration, settings, keys and policy.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::support::{Status, quiet_log, runtime, trial_sandbox, trial_secret};
use super::terminal;
use crate::postfix;
use crate::problems::render;
use waxseal::config::{self, Config, Problem, ProblemCode, Severity};
use waxseal::pipeline::{BuildReport, DerivedKeys, PolicyId, PolicySnapshot, reinjected};
use waxseal_core::printable::Text;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Read the Postfix configuration in this folder, to find content filters that
    /// reinject mail from outside through an address of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/etc/postfix")]
    postfix: PathBuf,
}

#[derive(Serialize)]
struct Report {
    good: bool,
    policy: Option<PolicyId>,
    relays: usize,
    problems: Vec<Problem>,
}

pub(super) fn run(arguments: &Arguments, path: &Path, json: bool) -> anyhow::Result<Status> {
    quiet_log();
    let mut out = terminal::text();
    let report = match config::examine(path)? {
        (Some(config), problems) if problems.is_empty() => {
            runtime()?.block_on(check(arguments, config))?
        }
        (Some(config), problems) => runtime()?.block_on(check_in_part(&config, problems))?,
        (None, problems) => Report::bad(0, problems),
    };
    if json {
        out.json(&report)?;
    } else {
        show(path, &report, &mut out)?;
    }
    terminal::print(&out)?;
    Ok(if report.good {
        Status::Done
    } else {
        Status::Negative
    })
}

impl Report {
    fn bad(relays: usize, problems: Vec<Problem>) -> Self {
        Self {
            good: false,
            policy: None,
            relays,
            problems,
        }
    }
}

/// Checks the policy and its settings although `waxseal.toml` has errors, so that
/// all problems are reported in one run.
async fn check_in_part(config: &Config, mut problems: Vec<Problem>) -> anyhow::Result<Report> {
    let secret = trial_secret(config);
    let sandbox = trial_sandbox(config, &secret)?;
    problems
        .extend(PolicySnapshot::examine_policy(&sandbox, config, &DerivedKeys::new(&secret)).await);
    Ok(Report::bad(config.relays.len(), problems))
}

async fn check(arguments: &Arguments, mut config: Config) -> anyhow::Result<Report> {
    // A check has no side effects: missing keys are not generated.
    let generate = std::mem::replace(&mut config.dkim.generate, false);
    let relays = config.relays.len();
    let keys = config.dkim.keys.clone();
    let secret = trial_secret(&config);
    let sandbox = trial_sandbox(&config, &secret)?;
    let secrets = Arc::new(DerivedKeys::new(&secret));
    let today = jiff::Zoned::now().date();
    let built = PolicySnapshot::build(&sandbox, config.clone(), secrets, today).await;
    let (policy, mut problems) = match built {
        Ok(BuildReport {
            snapshot, warnings, ..
        }) => (Some(snapshot.policy_id()), warnings),
        Err(error) => (None, error.into()),
    };
    let ways = postfix::reinjections(&arguments.postfix, &config);
    reinjected(&config, &ways, &own_addresses(), &mut problems);
    if generate {
        soften_missing_keys(&mut problems, &keys);
    }
    let good = problems
        .iter()
        .all(|problem| problem.severity != Severity::Error);
    Ok(Report {
        good,
        policy,
        relays,
        problems,
    })
}

/// The addresses of this machine; empty if the system does not report them.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .map(|interface| interface.ip())
        .collect()
}

/// A missing key is a warning if `dkim.generate` will create it.
fn soften_missing_keys(problems: &mut [Problem], keys: &Path) {
    for problem in problems
        .iter_mut()
        .filter(|problem| problem.code == ProblemCode::MissingDkimKey)
    {
        problem.severity = Severity::Warning;
        problem.expected = Some(format!(
            "no action: the daemon generates it in {} at startup",
            keys.display()
        ));
    }
}

fn show(path: &Path, report: &Report, out: &mut Text) -> io::Result<()> {
    if !report.problems.is_empty() {
        out.block(&render(&report.problems, out.has_colors()));
        writeln!(out, "\n")?;
    }
    let count = |severity| {
        let problems = report.problems.iter();
        problems
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let errors = count(Severity::Error);
    let (warnings, advice) = (count(Severity::Warning), count(Severity::Advice));
    let advice = match advice {
        0 => String::new(),
        _ => format!(", {advice} advice"),
    };
    let path = path.display();
    match (&report.policy, errors) {
        (Some(policy), 0) => {
            writeln!(out, "{path}: valid, {warnings} warning(s){advice}")?;
            writeln!(
                out,
                "  policy {} {}, sha256 {}",
                policy.name, policy.version, policy.digest
            )?;
            writeln!(out, "  {} relay(s)", report.relays)?;
            if report.relays > 0 {
                writeln!(
                    out,
                    "  note: choosing a relay requires Postfix; other MTAs ignore the relay"
                )?;
            }
        }
        _ => writeln!(
            out,
            "{path}: {errors} error(s), {warnings} warning(s){advice}"
        )?,
    }
    Ok(())
}
