//! What is compared to find out whether a file has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Metadata of a file at one moment. If a file is written, replaced or restored with
/// its old times, at least one part differs: no program sets the time of the last
/// status change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Device and inode.
    file: (u64, u64),
    size: u64,
    /// Times in seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The stamp of each file; `None` for a file that is missing or not accessible.
pub type Stamps = BTreeMap<PathBuf, Option<FileStamp>>;

impl FileStamp {
    /// Reads the metadata of a file; of the target if it is a symbolic link. `None` if
    /// it is missing or not accessible.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads the metadata of files.
pub fn stamps<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Stamps {
    files
        .into_iter()
        .map(|file| (file.clone(), FileStamp::of(file)))
        .collect()
}
