//! What outlives the process: the secret and the counters.
//!
//! Everything stands in one folder, which nobody but its owner may look into.
//! A [`Store`] keeps counters; SQLite is the one that needs nothing installed.

pub mod seal;
pub mod secret;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
pub mod verp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use thiserror::Error;

use crate::secure_fs;

pub use crate::secure_fs::PrivateFileError;
pub use secret::{Key, Secret, SecretError};
pub use sqlite::SqliteStore;

/// Name of the counters' file in the folder of state.
pub const COUNTERS_FILE: &str = "counters.sqlite";

/// Makes the folder of state, or checks the one that is there.
///
/// # Errors
///
/// When it cannot be made, or when others may look into it.
pub fn prepare(state: &Path) -> Result<(), PrivateFileError> {
    secure_fs::folder(state)
}

/// How many units to take in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Fewer are of no use: then none are taken.
    pub least: u64,
    /// More than `least` are taken while this part of the room exceeds it: 32
    /// means a thirty-second. What is taken shrinks as the counter fills, down
    /// to `least`.
    pub share: u64,
    /// Never more than these, unless `least` is more.
    pub most: u64,
}

impl Want {
    /// What is granted where `room` units are left.
    pub fn of(self, room: u64) -> u64 {
        if room < self.least {
            return 0;
        }
        (room / self.share.max(1)).min(self.most).max(self.least)
    }
}

/// A change of what a counter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the counter.
    pub counter: String,
    /// Units spent since the last entry; negative where more were given back.
    pub spent: i64,
    /// Units taken besides those that [`Store::take`] granted; negative for
    /// granted units that were not spent.
    pub taken: i64,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Units that hosts hold or have spent: what a maximum is held against.
    pub taken: u64,
    /// Units that were spent, as far as hosts have told.
    pub spent: u64,
}

/// Counters by day and name, shared by every process that opens the same store.
///
/// All calls may block on a disk or a network.
pub trait Store: Send + Sync + 'static {
    /// Takes units of a counter, in one step with the check of its maximum: in
    /// all, never more than `maximum` are granted. What was granted outlives a
    /// crash or power cut of the machine once this returns.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or written. Then nothing is granted.
    fn take(&self, day: Date, counter: &str, want: Want, maximum: u64) -> Result<u64, StoreError>;

    /// Enters changes: all or none. Losing one to a power cut makes counters say
    /// too much, never too little, where units are given back.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or written.
    fn enter(&self, day: Date, entries: &[Entry]) -> Result<(), StoreError>;

    /// Gives back units that were granted and not spent.
    ///
    /// # Errors
    ///
    /// As [`Store::enter`].
    fn give_back(&self, day: Date, counter: &str, units: u64) -> Result<(), StoreError> {
        let taken = i64::try_from(units).unwrap_or(i64::MAX).saturating_neg();
        self.enter(
            day,
            &[Entry {
                counter: counter.to_owned(),
                spent: 0,
                taken,
            }],
        )
    }

    /// What all counters of a day say: for listings. There can be as many as policies may make in a day.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage(&self, day: Date) -> Result<BTreeMap<String, Usage>, StoreError>;

    /// What these counters of a day say; those that there are.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage_of(&self, day: Date, names: &[&str]) -> Result<BTreeMap<String, Usage>, StoreError>;

    /// What the counters of a day say whose names begin like this.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage_below(&self, day: Date, prefix: &str) -> Result<BTreeMap<String, Usage>, StoreError>;

    /// How many counters of a day there are.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn count(&self, day: Date) -> Result<u64, StoreError>;

    /// Forgets all days before this one.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn prune(&self, before: Date) -> Result<(), StoreError>;
}

/// Why the store does not serve. The text says what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Its folder is not private, or cannot be made.
    #[error("the folder of state: {0}")]
    Folder(#[from] PrivateFileError),
    /// The file is no database, or a damaged one.
    #[error("{}: the counters are damaged or no counters at all; move the file away and start again: counting begins \
             anew, so that maxima of today may be used twice", .0.display())]
    Corrupt(PathBuf),
    /// The file may not be written.
    #[error("{}: may not be written; it and its folder have to belong to the user that runs waxseal", .0.display())]
    ReadOnly(PathBuf),
    /// The disk is full.
    #[error("{}: the disk is full; nothing more can be counted until there is room", .0.display())]
    Full(PathBuf),
    /// A newer waxseal wrote it.
    #[error("{}: written by a newer waxseal (version {found} of its form, this one knows {known}); run that one, or \
             move the file away to count anew", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of its form.
        found: i64,
        /// Newest version that we know.
        known: i64,
    },
    /// Another process holds it.
    #[error("{}: another process has held the counters for too long; a backup or `sqlite3` may have it open", .0.display())]
    Busy(PathBuf),
    /// No thread can be started that deals with it.
    #[error("no thread can be started for the counters: {0}")]
    Thread(String),
    /// Another failure.
    #[error("{}: {reason}", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
}
