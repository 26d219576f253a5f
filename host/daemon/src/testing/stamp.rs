//! Change detection by file metadata.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// Modification time and length of each file; `None` for a missing file. Every
/// editor changes at least one of them, on every file system.
pub type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Reads the current metadata of files.
pub fn stamps<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Stamps {
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files
        .into_iter()
        .map(|file| (file.clone(), stamp(file)))
        .collect()
}
