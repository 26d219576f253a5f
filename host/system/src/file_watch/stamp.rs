//! What is compared to find out whether a file has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// Whether the last status change was after `time`, by the clock of the file
    /// system. Unlike the time of modification, it is never that of another file that
    /// was copied or restored, and never in the future.
    pub fn changed_after(&self, time: SystemTime) -> bool {
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.changed > (seconds, i64::from(time.subsec_nanos()))
    }
}

/// Reads the metadata of files.
pub fn stamps<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Stamps {
    files
        .into_iter()
        .map(|file| (file.clone(), FileStamp::of(file)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_whose_size_and_time_of_modification_are_restored_has_changed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("settings.toml");
        fs::write(&path, "one").expect("written");
        let future = SystemTime::now() + Duration::from_secs(3600);
        let restore = || {
            let file = fs::File::options().write(true).open(&path).expect("open");
            file.set_modified(future).expect("set");
        };
        restore();
        let before = FileStamp::of(&path).expect("there");
        assert_eq!(FileStamp::of(&path), Some(before));
        // Until the kernel's clock of file times has advanced.
        while FileStamp::of(&path) == Some(before) {
            fs::write(&path, "two").expect("written");
            restore();
        }
        let after = FileStamp::of(&path).expect("there");
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert!(after.changed_after(SystemTime::now() - Duration::from_secs(60)));
        assert!(!after.changed_after(SystemTime::now() + Duration::from_secs(60)));
        fs::remove_file(&path).expect("removed");
        assert_eq!(FileStamp::of(&path), None);
    }
}
