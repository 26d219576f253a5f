//! `waxseal check`: is everything in order?

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Config, Problem, Severity};
use crate::pipeline::{Built, Generation, PolicyId, Secrets};
use crate::printable::Text;
use crate::store::Secret;
use serde::Serialize;

use super::{Status, runtime, terminal};

#[derive(Serialize)]
struct Report {
    good: bool,
    policy: Option<PolicyId>,
    relays: usize,
    problems: Vec<Problem>,
}

pub(super) fn run(path: &Path, json: bool) -> anyhow::Result<Status> {
    super::quiet_log();
    let mut out = terminal::text();
    let report = match config::examine(path)? {
        (Some(config), problems) if problems.is_empty() => runtime()?.block_on(check(config))?,
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
        Status::No
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

/// `waxseal.toml` has mistakes: the policy and its settings may have some, too,
/// which are better told now than one round later.
async fn check_in_part(config: &Config, mut problems: Vec<Problem>) -> anyhow::Result<Report> {
    let secret = secret(config);
    let sandbox = super::trial_sandbox(config, &secret)?;
    problems.extend(Generation::examine_policy(&sandbox, config, &Secrets::new(&secret)).await);
    Ok(Report::bad(config.relays.len(), problems))
}

/// Whoever may not read the secret can check all the same: nothing of what it is
/// used for leaves this process.
fn secret(config: &Config) -> Secret {
    let secret = Secret::open_to_read(&config.state).ok().flatten();
    secret.unwrap_or_else(|| Secret::from_bytes([0; 32]))
}

async fn check(mut config: Config) -> anyhow::Result<Report> {
    // A check changes nothing: keys that are to be made at the start are not.
    let generate = std::mem::replace(&mut config.dkim.generate, false);
    let relays = config.relays.len();
    let keys = config.dkim.keys.clone();
    let secret = secret(&config);
    let sandbox = super::trial_sandbox(&config, &secret)?;
    let secrets = Arc::new(Secrets::new(&secret));
    let today = jiff::Zoned::now().date();
    let built = Generation::build(&sandbox, config, secrets, today).await;
    let (policy, mut problems) = match built {
        Ok(Built {
            generation,
            warnings,
        }) => (Some(generation.policy_id()), warnings),
        Err(problems) => (None, problems),
    };
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

/// A missing key is no error where `dkim.generate` will make it.
fn soften_missing_keys(problems: &mut [Problem], keys: &Path) {
    for problem in problems.iter_mut().filter(|problem| problem.missing_key) {
        problem.severity = Severity::Warning;
        problem.expected = Some(format!(
            "nothing: it will be made in {} at the start",
            keys.display()
        ));
    }
}

fn show(path: &Path, report: &Report, out: &mut Text) -> io::Result<()> {
    if !report.problems.is_empty() {
        out.block(&config::render(&report.problems, out.has_colors()));
        writeln!(out, "\n")?;
    }
    let errors = report
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let warnings = report.problems.len() - errors;
    let path = path.display();
    match (&report.policy, errors) {
        (Some(policy), 0) => {
            writeln!(out, "{path}: good, {warnings} warning(s)")?;
            writeln!(
                out,
                "  policy {} {}, sha256 {}",
                policy.name, policy.version, policy.digest
            )?;
            writeln!(out, "  {} relay(s)", report.relays)?;
            if report.relays > 0 {
                writeln!(
                    out,
                    "  relays are chosen through Postfix; Sendmail gets every other decision"
                )?;
            }
        }
        _ => writeln!(out, "{path}: {errors} error(s), {warnings} warning(s)")?,
    }
    Ok(())
}
