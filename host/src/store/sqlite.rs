//! Counters in a SQLite file: the store that needs nothing installed.
//!
//! Several processes of one machine may use one file. It must not stand on a
//! network file system: write-ahead logs need shared memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{COUNTERS_FILE, Entry, Store, StoreError, Usage, Want};

/// Version of the tables (`user_version`).
const VERSION: i64 = 1;

/// Other processes hold the file for milliseconds. Longer than this, something
/// is wrong, and the message had better be deferred.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE counter (
        day   TEXT NOT NULL,
        name  TEXT NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
        spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
        PRIMARY KEY (day, name)
    ) STRICT, WITHOUT ROWID;
";

/// Write-ahead log: readers (`waxseal quota list`) and the writer do not wait
/// for each other.
///
/// `synchronous` is FULL: a commit returns when the disk has it. With NORMAL a
/// commit survives the death of the process but not that of the machine; the
/// last grants would be forgotten by the file while their units are spent, and
/// after a power cut a counter would let more through than its maximum. Units
/// are taken many at a time, so that this costs one flush of the disk for many
/// messages. What a power cut can still undo is giving back and what was spent of
/// units already taken: that errs towards fewer messages, never towards more.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
";

/// Counters in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the counters in a folder of state; makes both where there are none.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or the file cannot serve.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        super::prepare(state)?;
        let path = state.join(COUNTERS_FILE);
        let made = Connection::open(&path).and_then(|mut connection| {
            connection.busy_timeout(PATIENCE)?;
            connection.execute_batch(SETTINGS)?;
            let version = set_up(&mut connection)?;
            Ok((connection, version))
        });
        let (connection, version) = made.map_err(|error| explained(&path, &error))?;
        Self::known(path, connection, version)
    }

    /// Opens the counters in a folder of state for reading; none where there are
    /// none yet. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn open_to_read(state: &Path) -> Result<Option<Self>, StoreError> {
        let path = state.join(COUNTERS_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let opened = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            let version = version_of(&connection)?;
            Ok((connection, version))
        });
        let (connection, version) = opened.map_err(|error| explained(&path, &error))?;
        Self::known(path, connection, version).map(Some)
    }

    fn known(path: PathBuf, connection: Connection, version: i64) -> Result<Self, StoreError> {
        if version > VERSION {
            return Err(StoreError::Newer {
                path,
                found: version,
                known: VERSION,
            });
        }
        Ok(Self {
            path,
            connection: Mutex::new(connection),
        })
    }

    /// A panic between two statements leaves no half transaction: it is rolled
    /// back when its guard is dropped.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn connection_for_tests(&self) -> MutexGuard<'_, Connection> {
        self.connection()
    }

    /// Runs one write transaction. It takes the write lock at its beginning:
    /// one that began as a reader could find its snapshot outdated and fail.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let done = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            });
        done.map_err(|error| explained(&self.path, &error))
    }
}

impl SqliteStore {
    /// Counters whose names lie between these two, both included: a range of the table's own order.
    fn usage_between(
        &self,
        day: Date,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, Usage>, StoreError> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<BTreeMap<String, Usage>> {
            let mut statement = connection.prepare_cached(
                "SELECT name, taken, spent FROM counter
                 WHERE day = ?1 AND name >= ?2 AND name <= ?3",
            )?;
            let rows = statement.query_map(params![day.to_string(), first, last], |row| {
                let units = |at| {
                    row.get(at)
                        .map(|units: i64| u64::try_from(units).unwrap_or(0))
                };
                Ok((
                    row.get(0)?,
                    Usage {
                        taken: units(1)?,
                        spent: units(2)?,
                    },
                ))
            })?;
            rows.collect()
        };
        read().map_err(|error| explained(&self.path, &error))
    }
}

/// Comes behind every name: those of counters are ASCII.
const END: &str = "\u{10ffff}";

impl Store for SqliteStore {
    fn take(&self, day: Date, counter: &str, want: Want, maximum: u64) -> Result<u64, StoreError> {
        self.write(|transaction| {
            let taken: Option<i64> = transaction
                .prepare_cached("SELECT taken FROM counter WHERE day = ?1 AND name = ?2")?
                .query_row(params![day.to_string(), counter], |row| row.get(0))
                .optional()?;
            let taken = u64::try_from(taken.unwrap_or(0)).unwrap_or(0);
            // SQLite's integers end at 2^63.
            let room = maximum.min(i64::MAX as u64).saturating_sub(taken);
            let granted = want.of(room);
            if granted > 0 {
                add(transaction, day, counter, signed(granted), 0)?;
            }
            Ok(granted)
        })
    }

    fn enter(&self, day: Date, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            entries.iter().try_for_each(|entry| {
                add(transaction, day, &entry.counter, entry.taken, entry.spent)
            })
        })
    }

    fn usage(&self, day: Date) -> Result<BTreeMap<String, Usage>, StoreError> {
        self.usage_between(day, "", END)
    }

    fn usage_of(&self, day: Date, names: &[&str]) -> Result<BTreeMap<String, Usage>, StoreError> {
        let mut found = BTreeMap::new();
        for name in names {
            found.extend(self.usage_between(day, name, name)?);
        }
        Ok(found)
    }

    fn usage_below(&self, day: Date, prefix: &str) -> Result<BTreeMap<String, Usage>, StoreError> {
        self.usage_between(day, prefix, &format!("{prefix}{END}"))
    }

    fn count(&self, day: Date) -> Result<u64, StoreError> {
        let connection = self.connection();
        let count = || -> rusqlite::Result<i64> {
            connection
                .prepare_cached("SELECT count(*) FROM counter WHERE day = ?1")?
                .query_row([day.to_string()], |row| row.get(0))
        };
        let count = count().map_err(|error| explained(&self.path, &error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn prune(&self, before: Date) -> Result<(), StoreError> {
        // Dates in ISO form sort as text, in the years that a mail server sees.
        self.write(|transaction| {
            transaction
                .execute("DELETE FROM counter WHERE day < ?1", [before.to_string()])
                .map(drop)
        })
    }
}

/// Adds to a counter; nothing goes below zero.
fn add(
    transaction: &Transaction<'_>,
    day: Date,
    counter: &str,
    taken: i64,
    spent: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO counter (day, name, taken, spent) VALUES (?1, ?2, max(?3, 0), max(?4, 0))
             ON CONFLICT DO UPDATE SET taken = max(taken + ?3, 0), spent = max(spent + ?4, 0)",
        )?
        .execute(params![day.to_string(), counter, taken, spent])
        .map(drop)
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// Makes the tables of a new file; gives the version of the file.
fn set_up(connection: &mut Connection) -> rusqlite::Result<i64> {
    let version = version_of(connection)?;
    if version != 0 {
        return Ok(version);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been quicker.
    if version_of(&transaction)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    version_of(connection)
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn explained(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(path),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::ReadOnly(path)
        }
        Some(ErrorCode::DiskFull) => StoreError::Full(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(path),
        _ => StoreError::Other {
            path,
            reason: error.to_string(),
        },
    }
}
