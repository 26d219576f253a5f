//! Comparison of a Postfix configuration with the one for a `waxseal.toml`.

use std::path::Path;

use serde::Serialize;

use super::installation::{ConfigFile, Installation};
use super::lines::{items, milter_address, parameters};
use super::master_cf::{Entry, entries};
use super::model::{Merge, Setting, Setup};
use super::write::{Wanted, WriteError};

/// How to write the configuration.
const WRITE: &str = "run `waxseal postfix --write`, then `postfix reload`";

/// A difference, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// File, and line where there is one.
    pub place: String,
    /// What is so.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Kinds of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Waxseal's block is not in a file.
    Missing,
    /// A file has another content than `--write` gives it.
    Outdated,
    /// A parameter is set again after Waxseal's block.
    Overridden,
    /// The administrator has a service of a name that Waxseal uses.
    Duplicate,
    /// A service connects to other milters only.
    Bypassed,
    /// No service connects to a listener.
    Unused,
}

impl Setup {
    /// What is not in a Postfix configuration as [`Setup::write`] would make it, and
    /// what takes mail past Waxseal.
    ///
    /// # Errors
    ///
    /// When a password cannot be read.
    pub fn check(&self, installation: &Installation) -> Result<Vec<Finding>, WriteError> {
        let mut findings = Vec::new();
        if let Err(error) = installation.admits(self) {
            findings.push(Finding {
                kind: FindingKind::Duplicate,
                place: installation.master.path.display().to_string(),
                message: error.to_string(),
                remedy: format!("remove the service; {WRITE}"),
            });
        }
        for file in self.tables()? {
            if file.differs() {
                findings.push(outdated(&file.path));
            }
        }
        findings.extend(self.unused_maps().iter().map(|path| outdated(path)));
        let files = [&installation.master, &installation.main];
        for (found, wanted) in files.into_iter().zip(self.config_files(installation)) {
            findings.extend(block(found, &wanted));
        }
        findings.extend(overridden(&self.main, &installation.main));
        findings.extend(self.services(installation));
        Ok(findings)
    }

    /// Services that do not use Waxseal, and listeners that no service uses.
    fn services(&self, installation: &Installation) -> Vec<Finding> {
        let file = &installation.master;
        let attached = self.attachments.iter().map(|it| &it.settings);
        let milters = attached.flatten().chain(&self.main);
        let ours: Vec<&str> = milters
            .filter(|setting| setting.merge == Merge::MilterLast || setting.name == MILTERS)
            .map(|setting| milter_address(&setting.value))
            .collect();
        let services: Vec<Entry> = entries(&file.file.rest)
            .filter(|entry| entry.command == "smtpd")
            .collect();
        let uses = |entry: &Entry, address: &str| {
            let value = entry.option(MILTERS).unwrap_or_default();
            items(value)
                .into_iter()
                .any(|item| milter_address(item) == address)
        };
        let bypassing = services.iter().filter(|entry| {
            let named = entry.option(MILTERS).is_some_and(|value| {
                // A reference is for postconf to resolve.
                !value.is_empty() && !value.contains('$')
            });
            named && !entry.is_without_milters() && !ours.iter().any(|ours| uses(entry, ours))
        });
        let mut findings: Vec<Finding> = bypassing
            .map(|entry| Finding {
                kind: FindingKind::Bypassed,
                place: place(&file.path, file.line_of(entry.line)),
                message: format!(
                    "service \"{}\" has milters of its own, and Waxseal is none of them: its mail is not processed",
                    entry.title()
                ),
                remedy: "add the listener to the service's smtpd_milters, or remove that option".into(),
            })
            .collect();
        for attachment in &self.attachments {
            let mut addresses = attachment
                .settings
                .iter()
                .map(|it| milter_address(&it.value));
            let used = addresses.any(|address| services.iter().any(|entry| uses(entry, address)));
            if !used {
                findings.push(Finding {
                    kind: FindingKind::Unused,
                    place: file.path.display().to_string(),
                    message: format!("no service uses listener \"{}\"", attachment.listener),
                    remedy: format!(
                        "add its smtpd_milters option, which `waxseal postfix` prints, to {}",
                        attachment.services
                    ),
                });
            }
        }
        findings
    }
}

/// The parameter with the milters of an smtpd.
const MILTERS: &str = "smtpd_milters";

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

fn outdated(path: &Path) -> Finding {
    Finding {
        kind: FindingKind::Outdated,
        place: path.display().to_string(),
        message: "the file is not as waxseal.toml requires".into(),
        remedy: WRITE.into(),
    }
}

/// The state of our block in a file.
fn block(found: &ConfigFile, wanted: &Wanted) -> Option<Finding> {
    let message = match &found.file.block {
        _ if found.text == wanted.content => return None,
        None => {
            return Some(Finding {
                kind: FindingKind::Missing,
                place: found.path.display().to_string(),
                message: "Waxseal's block is missing".into(),
                remedy: WRITE.into(),
            });
        }
        // Somebody has added lines after it, which is reported where it matters.
        Some(block) if wanted.content == found.file.with_block(&block.text) => return None,
        Some(_) => {
            "Waxseal's block is not as waxseal.toml and the other settings of the file require"
        }
    };
    let line = found.file.block.as_ref().map_or(1, |block| block.line);
    Some(Finding {
        kind: FindingKind::Outdated,
        place: place(&found.path, line),
        message: message.into(),
        remedy: WRITE.into(),
    })
}

/// Parameters that are set after our block, too.
fn overridden(settings: &[Setting], file: &ConfigFile) -> Vec<Finding> {
    let Some(block) = &file.file.block else {
        return Vec::new();
    };
    let last = block.line + block.text.lines().count() + 1;
    parameters(&file.text)
        .filter(|it| it.line > last && settings.iter().any(|ours| ours.name == it.name))
        .map(|it| Finding {
            kind: FindingKind::Overridden,
            place: place(&file.path, it.line),
            message: format!(
                "{} is set again after Waxseal's block, which has no effect",
                it.name
            ),
            remedy: WRITE.into(),
        })
        .collect()
}
