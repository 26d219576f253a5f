//! `waxseal dkim`: DKIM keys and their DNS records.

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::support::{Status, show_problems};
use crate::problems::render;
use waxseal::config::{Config, Domain, Problem, Severity};
use waxseal::dkim::{Algorithm, GenerateError, Key, Keys, Record, generate};
use waxseal_core::printable::Text;

/// Generate DKIM keys and print their DNS records
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Generate a key for a domain. Signing starts when the daemon is reloaded
    New {
        /// Signing domain: the domain of the author's address
        domain: Domain,
        /// Key algorithm: rsa (verified by all receivers), or ed25519 in addition to an RSA key
        #[arg(long, default_value_t)]
        algorithm: Algorithm,
        /// Selector (the name of the key in DNS). Default: derived from today's date
        #[arg(long)]
        selector: Option<String>,
    },
    /// Print the DNS records to publish for a domain
    Record {
        /// Signing domain
        domain: Domain,
    },
    /// List all keys
    List,
}

/// JSON object of a key.
#[derive(Serialize)]
struct KeyOutput<'a> {
    domain: &'a str,
    selector: &'a str,
    algorithm: Algorithm,
    file: &'a Path,
    record: RecordOutput<'a>,
}

#[derive(Serialize)]
struct RecordOutput<'a> {
    #[serde(flatten)]
    record: &'a Record,
    strings: Vec<&'a str>,
    zone: String,
}

impl<'a> KeyOutput<'a> {
    fn of(key: &'a Key) -> Self {
        let record = key.record();
        Self {
            domain: key.domain(),
            selector: key.selector(),
            algorithm: key.algorithm(),
            file: key.file(),
            record: RecordOutput {
                record,
                strings: record.strings(),
                zone: record.zone_line(),
            },
        }
    }
}

/// Runs the command.
///
/// # Errors
///
/// When keys cannot be read or written, or the output cannot be written.
pub(super) fn run(
    command: &Command,
    config: &Config,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    match command {
        Command::New {
            domain,
            algorithm,
            selector,
        } => new(config, domain, *algorithm, selector.as_deref(), json, out),
        Command::Record { domain } => record(config, domain, json, out),
        Command::List => list(config, json, out),
    }
}

fn new(
    config: &Config,
    domain: &Domain,
    algorithm: Algorithm,
    selector: Option<&str>,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let today = Timestamp::now().to_zoned(config.time_zone.clone()).date();
    match generate(&config.dkim, domain, algorithm, selector, today) {
        Ok(made) if json => {
            out.json(&KeyOutput::of(&made.key))?;
            Ok(Status::Done)
        }
        Ok(made) => {
            writeln!(
                out,
                "Generated {} key for {domain}: {}\n",
                long_name(algorithm),
                made.key.file().display()
            )?;
            writeln!(out, "Publish this record:\n")?;
            show_record(out, made.key.record())?;
            writeln!(out, "\nNext steps:")?;
            writeln!(
                out,
                "  1. Publish the record. The key is not used until Waxseal is reloaded."
            )?;
            writeln!(
                out,
                "  2. Verify the record:  dig +short TXT {}",
                made.key.record().name
            )?;
            writeln!(
                out,
                "  3. Reload Waxseal:     systemctl reload waxseal  (or send SIGHUP)"
            )?;
            if algorithm == Algorithm::Ed25519 {
                writeln!(
                    out,
                    "\nMany receivers do not verify Ed25519: keep an RSA key for the domain as well."
                )?;
            }
            Ok(Status::Done)
        }
        Err(
            error @ (GenerateError::Signs { .. }
            | GenerateError::Exists(_)
            | GenerateError::Selector(_)),
        ) => {
            report_error(out, json, &error.to_string())?;
            Ok(Status::Negative)
        }
        Err(error) => Err(error.into()),
    }
}

fn record(config: &Config, domain: &Domain, json: bool, out: &mut Text) -> anyhow::Result<Status> {
    let (keys, problems) = Keys::load(&config.dkim);
    let found = keys.for_domain(domain.as_str());
    if found.is_empty() {
        // A damaged key is reported as such, not as missing.
        let theirs: Vec<Problem> = problems
            .into_iter()
            .filter(|problem| is_of(problem, config, domain))
            .collect();
        if !theirs.is_empty() {
            show_problems(&theirs);
            bail!("no usable key for {domain}");
        }
        report_error(
            out,
            json,
            &format!("no key for {domain}; generate one: waxseal dkim new {domain}"),
        )?;
        return Ok(Status::Negative);
    }
    if json {
        out.json(
            &found
                .iter()
                .map(|key| KeyOutput::of(key))
                .collect::<Vec<_>>(),
        )?;
        return Ok(Status::Done);
    }
    for (at, key) in found.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        writeln!(
            out,
            "{} key \"{}\" of {domain}\n",
            long_name(key.algorithm()),
            key.selector()
        )?;
        show_record(out, key.record())?;
    }
    Ok(Status::Done)
}

fn is_of(problem: &Problem, config: &Config, domain: &Domain) -> bool {
    let files = config.dkim.files.iter().filter(|key| key.domain == *domain);
    problem
        .file
        .starts_with(config.dkim.keys.join(domain.as_str()))
        || files.into_iter().any(|key| key.file == problem.file)
}

fn list(config: &Config, json: bool, out: &mut Text) -> anyhow::Result<Status> {
    let (keys, problems) = Keys::load(&config.dkim);
    let all = keys.all();
    let status = if problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        Status::Negative
    } else {
        Status::Done
    };
    if json {
        let keys: Vec<_> = all.iter().map(|key| KeyOutput::of(key)).collect();
        out.json(&serde_json::json!({ "keys": keys, "problems": problems }))?;
        return Ok(status);
    }
    if all.is_empty() {
        writeln!(
            out,
            "no keys in {}; generate one: waxseal dkim new DOMAIN",
            config.dkim.keys.display()
        )?;
    } else {
        let width = |text: fn(&Key) -> &str, least: usize| {
            all.iter()
                .map(|key| text(key).len())
                .max()
                .unwrap_or(0)
                .max(least)
        };
        let (domains, selectors) = (width(Key::domain, 6), width(Key::selector, 8));
        writeln!(
            out,
            "{:domains$}  {:selectors$}  {:9}  FILE",
            "DOMAIN", "SELECTOR", "ALGORITHM"
        )?;
        for key in &all {
            let (domain, selector) = (key.domain(), key.selector());
            let algorithm = key.algorithm().key_type();
            writeln!(
                out,
                "{domain:domains$}  {selector:selectors$}  {algorithm:9}  {}",
                key.file().display()
            )?;
        }
    }
    if !problems.is_empty() {
        writeln!(out)?;
        out.block(&render(&problems, out.has_colors()));
        writeln!(out)?;
    }
    Ok(status)
}

fn long_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rsa => "RSA-2048",
        Algorithm::Ed25519 => "Ed25519",
    }
}

/// Prints the record as a zone file entry, and as the fields of a provider's form.
fn show_record(out: &mut Text, record: &Record) -> anyhow::Result<()> {
    writeln!(out, "Zone file:\n")?;
    out.block(&record.zone_line());
    writeln!(out, "\n")?;
    writeln!(out, "DNS provider's form (one line, without quotes):\n")?;
    writeln!(out, "Name   {}", record.name)?;
    writeln!(out, "Type   TXT")?;
    writeln!(out, "Value  {}", record.value)?;
    Ok(())
}

fn report_error(out: &mut Text, json: bool, text: &str) -> anyhow::Result<()> {
    if json {
        Ok(out.json(&serde_json::json!({ "error": text }))?)
    } else {
        Ok(writeln!(out, "{text}")?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use waxseal::config::read_text;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn config(folder: &Path) -> Config {
        let text = "hostname = \"mail.acme.test\"\n[policy]\nfile = \"policy.wasm\"\n\
            [[listener]]\nname = \"mx\"\naddress = \"inet:127.0.0.1:8891\"\n";
        read_text(&folder.join("waxseal.toml"), text).expect("config")
    }

    fn output_of(config: &Config, line: &str, json: bool) -> (Status, String) {
        let words = std::iter::once("dkim").chain(line.split_whitespace());
        let command = Line::try_parse_from(words).expect("command").command;
        let mut out = Text::new();
        let status = run(&command, config, json, &mut out).expect("answered");
        (status, out.into_string())
    }

    #[test]
    fn r15_new_prints_the_record_ready_to_copy() {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(folder.path());
        let (status, made) = output_of(&config, "new acme.test --selector s1", false);
        assert_eq!(status, Status::Done);
        assert!(
            made.contains("s1._domainkey.acme.test. IN TXT (\n    \"v=DKIM1; k=rsa; p=MIIB"),
            "{made}"
        );
        assert!(made.contains("\nValue  v=DKIM1; k=rsa; p=MIIB"), "{made}");
        assert!(
            made.contains("dig +short TXT s1._domainkey.acme.test"),
            "{made}"
        );
        let (status, shown) = output_of(&config, "record ACME.test", true);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(
            (status, shown[0]["selector"].as_str()),
            (Status::Done, Some("s1"))
        );
        let strings: String = shown[0]["record"]["strings"]
            .as_array()
            .expect("array")
            .iter()
            .filter_map(|one| one.as_str())
            .collect();
        assert_eq!(shown[0]["record"]["value"].as_str(), Some(strings.as_str()));
        assert!(made.contains(&strings), "the same record");
    }

    #[test]
    fn a_second_key_and_a_missing_key_exit_with_1() {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(folder.path());
        let (status, none) = output_of(&config, "record acme.test", false);
        assert_eq!(status, Status::Negative);
        assert!(none.contains("waxseal dkim new acme.test"), "{none}");
        assert_eq!(
            output_of(&config, "new acme.test --algorithm ed25519", false).0,
            Status::Done
        );
        let (status, second) = output_of(&config, "new acme.test --algorithm ed25519", true);
        assert_eq!(status, Status::Negative);
        let second: serde_json::Value = serde_json::from_str(&second).expect("JSON");
        assert!(second["error"].is_string(), "{second}");
    }

    #[test]
    fn keys_are_listed_with_their_problems() {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(folder.path());
        let (status, empty) = output_of(&config, "list", true);
        let empty: serde_json::Value = serde_json::from_str(&empty).expect("JSON");
        assert_eq!(
            (status, &empty["keys"]),
            (Status::Done, &serde_json::json!([]))
        );
        output_of(&config, "new acme.test --selector s1", false);
        let (status, listed) = output_of(&config, "list", false);
        assert_eq!(
            (status, listed.lines().count()),
            (Status::Done, 2),
            "{listed}"
        );
        std::fs::write(config.dkim.keys.join("acme.test/bad.pem"), "x").expect("written");
        let (status, listed) = output_of(&config, "list", true);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(status, Status::Negative);
        assert_eq!(
            listed["problems"].as_array().map(Vec::len),
            Some(1),
            "{listed}"
        );
        assert_eq!(listed["keys"][0]["algorithm"], "rsa");
    }
}
