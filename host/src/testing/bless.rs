//! Updating golden files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::golden::State;
use super::report::Report;
use crate::secure_fs::{Directory, FileMode};

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blessed {
    /// It was not there before.
    New(PathBuf),
    /// It said something else.
    Changed(PathBuf),
}

/// Writes the messages that came into the files that are to hold them, of
/// those cases that fail in nothing else. Tells which were written; the
/// reports of their cases have no failure then.
///
/// # Errors
///
/// When a file cannot be written.
pub fn bless(report: &mut Report) -> io::Result<Vec<Blessed>> {
    let mut blessed = Vec::new();
    let mut written: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for case in &mut report.cases {
        let Some(golden) = &case.golden else {
            continue;
        };
        let changed = !case.failures.is_empty();
        if case.failures.iter().any(|failure| !failure.golden) {
            continue;
        }
        if let Some(other) = written.get(&golden.path) {
            if *other != golden.actual {
                let path = golden.path.display();
                let failure = Failure::new(
                    "message",
                    &format!("that of {path}"),
                    "another than that of a case with the same file".to_owned(),
                );
                case.failures = vec![failure.at(golden.line)];
            } else {
                case.failures.clear();
            }
            continue;
        }
        written.insert(golden.path.clone(), golden.actual.clone());
        if !changed {
            continue;
        }
        write(&golden.path, &golden.actual)?;
        blessed.push(match golden.state {
            State::Missing => Blessed::New(golden.path.clone()),
            _ => Blessed::Changed(golden.path.clone()),
        });
        case.failures.clear();
    }
    Ok(blessed)
}

/// Whole or not at all: what is there stays until the new one is complete.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let (folder, name) = Directory::make_around(path, 0o777).map_err(told)?;
    folder.replace(name, bytes, FileMode::Usual).map_err(told)
}
