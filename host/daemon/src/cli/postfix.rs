//! `waxseal postfix`: the Postfix configuration for a `waxseal.toml`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::support::Status;
use crate::postfix::{
    Finding, Installation, InstallationError, QUEUE_DIRECTORY, Released, Setup, Written,
};
use waxseal::config::Config;
use waxseal_core::printable::Text;

/// Print the Postfix configuration, write it, compare it, or remove it
///
/// Without an option, the configuration is printed and nothing is changed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    action: Action,
    /// Folder of Postfix's configuration: main.cf and master.cf
    #[arg(long, value_name = "FOLDER", default_value = "/etc/postfix")]
    postfix_directory: PathBuf,
    /// Queue directory of Postfix (default: `queue_directory` of main.cf). Paths of
    /// sockets below it are written relative to it, for services that run in a chroot
    #[arg(long, value_name = "FOLDER")]
    queue_directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Action {
    /// Write one marked block each into main.cf and master.cf, and the tables and
    /// password maps into the folder `waxseal` beside them. A repeated write changes
    /// nothing
    #[arg(long)]
    write: bool,
    /// Report what the files lack or override; exit with 1 if there is anything
    #[arg(long)]
    check: bool,
    /// Remove what `--write` has written, have Postfix reload, and queue mail again
    /// that waits for a relay of Waxseal: it takes the default route
    #[arg(long)]
    undo: bool,
}

pub(super) fn run(
    arguments: &Arguments,
    config: &Config,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let folder = absolute_path(&arguments.postfix_directory)?;
    let installation = Installation::read(&folder);
    if arguments.action.undo {
        return undo(&installation?, json, out);
    }
    let setup = setup(arguments, config, &folder, &installation)?;
    if arguments.action.write {
        return write(&setup, &installation?, json, out);
    }
    if arguments.action.check {
        return check(&setup, &installation?, json, out);
    }
    if json {
        out.json(&setup)?;
    } else {
        // Postfix may be on another machine, or not installed yet.
        let installation = installation.ok();
        let existing = |name: &str| installation.as_ref()?.existing(name);
        out.block(&setup.page(existing));
    }
    Ok(Status::Done)
}

fn setup(
    arguments: &Arguments,
    config: &Config,
    folder: &Path,
    installation: &Result<Installation, InstallationError>,
) -> anyhow::Result<Setup> {
    let queue = match (&arguments.queue_directory, installation) {
        (Some(given), _) => absolute_path(given)?,
        (None, Ok(installation)) => installation.queue_directory(),
        (None, Err(_)) => QUEUE_DIRECTORY.into(),
    };
    Ok(Setup::of(
        &absolute(config)?,
        &Installation::tables_in(folder),
        &queue,
    ))
}

fn write(
    setup: &Setup,
    installation: &Installation,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let written = setup.write(installation)?;
    if json {
        out.json(&Report::files(&written))?;
        return Ok(Status::Done);
    }
    changes(&written, out)?;
    if written.iter().any(|file| file.changed) {
        writeln!(out, "Next, as root: postfix check && postfix reload")?;
    }
    out.block(&setup.attachments());
    for note in &setup.notes {
        writeln!(out, "Note: {note}")?;
    }
    Ok(Status::Done)
}

fn check(
    setup: &Setup,
    installation: &Installation,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let findings = setup.check(installation)?;
    if json {
        out.json(&Report {
            findings: Some(&findings),
            ..Report::default()
        })?;
    } else if findings.is_empty() {
        writeln!(
            out,
            "main.cf, master.cf and the tables are as waxseal.toml requires"
        )?;
    } else {
        for finding in &findings {
            writeln!(out, "{}: {}", finding.place, finding.message)?;
            writeln!(out, "    {}", finding.remedy)?;
        }
    }
    Ok(match findings.is_empty() {
        true => Status::Done,
        false => Status::Negative,
    })
}

fn undo(installation: &Installation, json: bool, out: &mut Text) -> anyhow::Result<Status> {
    let removed = installation.remove()?;
    let released = installation.release()?;
    if json {
        out.json(&Report {
            released: Some(&released),
            ..Report::files(&removed)
        })?;
        return Ok(Status::Done);
    }
    changes(&removed, out)?;
    if released.reloaded {
        writeln!(out, "Postfix has reloaded its configuration")?;
    }
    if !released.requeued.is_empty() {
        writeln!(
            out,
            "queued again, for the default route: {}",
            released.requeued.join(" ")
        )?;
    }
    if !released.held.is_empty() {
        writeln!(
            out,
            "still on hold, with a route that is no longer there: {0}\n    before you release them: postsuper -r {0}",
            released.held.join(" ")
        )?;
    }
    Ok(Status::Done)
}

fn changes(files: &[Written], out: &mut Text) -> anyhow::Result<()> {
    for file in files {
        let state = if file.changed { "changed" } else { "unchanged" };
        writeln!(out, "{state}: {}", file.path.display())?;
    }
    Ok(())
}

/// The JSON form of what an action did.
#[derive(Debug, Default, Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'a [Written]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'a [Finding]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<&'a Released>,
}

impl<'a> Report<'a> {
    fn files(files: &'a [Written]) -> Self {
        Self {
            files: Some(files),
            ..Self::default()
        }
    }
}

fn absolute_path(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve the path {}", path.display()))
}

/// The configuration with absolute paths: Postfix has its own working directory.
fn absolute(config: &Config) -> anyhow::Result<Config> {
    let mut config = config.clone();
    let files = config
        .relays
        .iter_mut()
        .filter_map(|relay| relay.ca_file.as_mut());
    for path in files {
        *path = std::path::absolute(&*path)?;
    }
    for listener in &mut config.listeners {
        if let waxseal::config::ListenAddress::Unix(path) = &mut listener.address {
            *path = std::path::absolute(&*path)?;
        }
    }
    Ok(config)
}
