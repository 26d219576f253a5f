//! Updating golden files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::golden::State;
use super::report::Report;
use waxseal_system::secure_fs::{Directory, FileMode};

/// A golden file that was updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blessed {
    /// A new file.
    New(PathBuf),
    /// A changed file.
    Changed(PathBuf),
}

/// Updates golden files for cases whose other expectations pass. Returns the
/// updated files and removes the failures of their cases.
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
                    &format!("the message in {path}"),
                    "different from another case with the same golden file".to_owned(),
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

/// Atomically replaces the file.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let with_path =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let (folder, name) = Directory::make_around(path, 0o777).map_err(with_path)?;
    folder
        .replace(name, bytes, FileMode::Usual)
        .map_err(with_path)
}
