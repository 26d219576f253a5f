//! Checks of the names that a configuration refers to.

use std::collections::BTreeSet;
use std::path::Path;

use super::access;
use super::host::HostSettings;
use super::tables::Tables;
use crate::config::{Config, Domain, Mode, Problem, ProblemCode, Security, Severity, Source};
use crate::dkim::Keys;
use waxseal_runtime::{Reference, ReferenceKind};
use waxseal_system::secure_fs;

pub(super) fn references(
    host: &HostSettings,
    tables: &Tables,
    references: &[Reference],
    settings: &Source,
    problems: &mut Vec<Problem>,
) {
    let config = host.config();
    for reference in references {
        let name = &reference.name;
        let (known, message, expected) = match reference.kind {
            ReferenceKind::Relay => {
                let names: Vec<_> = host.relays().names().collect();
                let message = format!(
                    "unknown relay \"{name}\": it is not in {}",
                    config.source.path.display()
                );
                (host.relays().contains(name), message, one_of(&names))
            }
            ReferenceKind::Table => {
                let names: Vec<_> = config
                    .tables
                    .iter()
                    .map(|table| table.name.as_str())
                    .collect();
                let message = format!(
                    "unknown table \"{name}\": it is not in {}",
                    config.source.path.display()
                );
                (tables.contains(name), message, one_of(&names))
            }
            ReferenceKind::DkimDomain => {
                let message = format!("invalid domain name \"{name}\"");
                (name.parse::<Domain>().is_ok(), message, None)
            }
            ReferenceKind::Counter => continue,
        };
        if !known {
            problems.push(settings.problem(
                Severity::Error,
                reference.span.clone(),
                message,
                expected,
            ));
        }
    }
}

fn one_of(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        names => Some(format!("one of {}", names.join(", "))),
    }
}

pub(super) fn keys(
    keys: &Keys,
    references: &[Reference],
    settings: &Source,
    problems: &mut Vec<Problem>,
) {
    let mut reported = BTreeSet::new();
    for reference in references
        .iter()
        .filter(|reference| reference.kind == ReferenceKind::DkimDomain)
    {
        let name = &reference.name;
        if keys.for_domain(name).is_empty() && reported.insert(name) {
            let message = format!("no DKIM key for {name}");
            let expected = format!(
                "a key: `waxseal dkim new {name}` creates one; keys are read at the start and at a \
                 reload (SIGHUP)"
            );
            let span = reference.span.clone();
            let mut problem = settings.problem(Severity::Error, span, message, Some(expected));
            problem.code = ProblemCode::MissingDkimKey;
            problems.push(problem);
        }
    }
}

/// What a configuration names outside the policy.
pub(super) fn host(config: &Config, problems: &mut Vec<Problem>) {
    relays(config, problems);
    record(config, problems);
    listeners(config, problems);
    access::listeners(config, problems);
    access::networks(config, problems);
    access::host_files(config, problems);
}

fn relays(config: &Config, problems: &mut Vec<Problem>) {
    for relay in &config.relays {
        let Some(login) = &relay.login else {
            continue;
        };
        if let Err(error) = secure_fs::read_password(&login.password_file) {
            let message = format!("relay \"{}\": {error}", relay.name);
            problems.push(config.source.problem(
                Severity::Error,
                relay.span.clone(),
                message,
                None,
            ));
        }
        if relay.security == Security::None {
            let message = format!(
                "relay \"{}\" receives its password over a connection without TLS",
                relay.name
            );
            problems.push(config.source.problem(
                Severity::Warning,
                relay.span.clone(),
                message,
                None,
            ));
        }
    }
}

/// Checks the recording: a warning, because mail does not depend on it.
fn record(config: &Config, problems: &mut Vec<Problem>) {
    let Some(record) = &config.record else {
        return;
    };
    if record.folder.exists()
        && let Err(error) = secure_fs::folder(&record.folder)
    {
        let message = format!("nothing will be recorded: {error}");
        let mut problem = Problem::of_file(&config.source.path, message, None);
        problem.severity = Severity::Warning;
        problems.push(problem);
    }
}

pub(super) fn listeners(config: &Config, problems: &mut Vec<Problem>) {
    let path: &Path = &config.source.path;
    let split = config
        .listeners
        .iter()
        .filter(|listener| listener.mode == Mode::Split)
        .count();
    let mut warn = |message: &str, expected: &str| {
        let mut problem = Problem::of_file(path, message, Some(expected.to_owned()));
        problem.severity = Severity::Warning;
        problems.push(problem);
    };
    if split > 1 {
        warn(
            "several listeners have mode \"split\"; the first is used",
            "one",
        );
    }
    if split == 0 && !config.relays.is_empty() && !config.local_domains.is_empty() {
        warn(
            "messages with local and remote recipients will not be relayed",
            "a [[listener]] of mode \"split\"",
        );
    }
    if !config.relays.is_empty() && config.local_domains.is_empty() {
        warn(
            "no local domain is configured: mail for local domains would be relayed too",
            "`local-domains`, a list of the domains that this server delivers itself",
        );
    }
}
