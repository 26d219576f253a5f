//! What tells whether files have changed, without reading them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// Time of change and length in bytes of each file; none where there is none.
/// Every editor's way of writing changes one of them, on every file system.
pub type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Looks at files as they are now.
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
