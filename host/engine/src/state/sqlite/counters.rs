//! Daily counters in a SQLite file.
//!
//! Several processes of one machine may use one file. It must not be on a
//! network file system: write-ahead logs need shared memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, StateErrorKind, Usage};
use waxseal_system::secure_fs;

/// Name of the file in the folder of state.
pub const COUNTERS_FILE: &str = "counters.sqlite";

/// Name of the backend in errors.
const BACKEND: &str = "sqlite";

/// Version of the tables (`user_version`).
const VERSION: i64 = 1;

/// Timeout of the file lock. Other processes lock the file for milliseconds;
/// after this, the message is deferred.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE counter (
        day   TEXT NOT NULL,
        name  TEXT NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
        spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
        PRIMARY KEY (day, name)
    ) STRICT, WITHOUT ROWID;
";

/// Write-ahead log: readers and the writer do not block each other.
///
/// `synchronous` is FULL: a commit returns when the disk has it. With NORMAL a
/// commit survives a crash of the process but not of the machine: the last
/// grants could be lost while their units are spent, and after a power failure a
/// counter would exceed its maximum. Units are taken many at a time, so that
/// this costs one flush of the disk for many messages. A power failure can still
/// undo deltas; the counter is then too high, never too low.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
";

/// Counters in a SQLite file.
#[derive(Debug)]
pub struct SqliteCounters {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteCounters {
    /// Opens the counters in a folder of state. Creates both if they are missing.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or the file cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        secure_fs::folder(folder).map_err(|error| {
            let message = format!("the folder of state: {error}");
            StateError::new(BACKEND, StateErrorKind::Permissions, message)
        })?;
        let path = folder.join(COUNTERS_FILE);
        let opened = Connection::open(&path).and_then(|mut connection| {
            connection.busy_timeout(LOCK_TIMEOUT)?;
            connection.execute_batch(SETTINGS)?;
            let version = set_up(&mut connection)?;
            Ok((connection, version))
        });
        let (connection, version) = opened.map_err(|error| explain(&path, &error))?;
        Self::check_version(path, connection, version)
    }

    /// Opens the counters in a folder of state for reading and changes nothing.
    /// `None` if there are none yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Option<Self>, StateError> {
        let path = folder.join(COUNTERS_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let opened = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|connection| {
            connection.busy_timeout(LOCK_TIMEOUT)?;
            let version = version_of(&connection)?;
            Ok((connection, version))
        });
        let (connection, version) = opened.map_err(|error| explain(&path, &error))?;
        Self::check_version(path, connection, version).map(Some)
    }

    fn check_version(
        path: PathBuf,
        connection: Connection,
        version: i64,
    ) -> Result<Self, StateError> {
        if version > VERSION {
            let message = format!(
                "{}: written by a newer waxseal (format {version}, this one supports {VERSION}); run that version, or \
                 move the file away to start counting anew",
                path.display()
            );
            return Err(StateError::new(
                BACKEND,
                StateErrorKind::NewerVersion,
                message,
            ));
        }
        Ok(Self {
            path,
            connection: Mutex::new(connection),
        })
    }

    /// A panic between two statements leaves no partial transaction: the guard
    /// rolls it back.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn connection_for_tests(&self) -> MutexGuard<'_, Connection> {
        self.connection()
    }

    /// Runs one write transaction. It takes the write lock at its start: a
    /// transaction that starts as a reader fails when its snapshot is outdated.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        let mut connection = self.connection();
        let done = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            });
        done.map_err(|error| explain(&self.path, &error))
    }
}

impl SqliteCounters {
    /// Counters with names in this range, which includes both ends, in the order of the primary key.
    fn usage_between(
        &self,
        day: Date,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, Usage>, StateError> {
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
        read().map_err(|error| explain(&self.path, &error))
    }
}

/// Sorts after every name: names of counters are ASCII.
const END: &str = "\u{10ffff}";

impl CounterStore for SqliteCounters {
    fn take(
        &self,
        day: Date,
        counter: &str,
        request: LeaseRequest,
        maximum: u64,
    ) -> Result<u64, StateError> {
        self.write(|transaction| {
            let taken: Option<i64> = transaction
                .prepare_cached("SELECT taken FROM counter WHERE day = ?1 AND name = ?2")?
                .query_row(params![day.to_string(), counter], |row| row.get(0))
                .optional()?;
            let taken = u64::try_from(taken.unwrap_or(0)).unwrap_or(0);
            // SQLite's integers end at 2^63.
            let available = maximum.min(i64::MAX as u64).saturating_sub(taken);
            let granted = request.grant(available);
            if granted > 0 {
                add(transaction, day, counter, signed(granted), 0)?;
            }
            Ok(granted)
        })
    }

    fn apply(&self, day: Date, deltas: &[CounterDelta]) -> Result<(), StateError> {
        if deltas.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            deltas.iter().try_for_each(|delta| {
                add(transaction, day, &delta.counter, delta.taken, delta.spent)
            })
        })
    }

    fn usage(&self, day: Date) -> Result<BTreeMap<String, Usage>, StateError> {
        self.usage_between(day, "", END)
    }

    fn usage_of(&self, day: Date, names: &[&str]) -> Result<BTreeMap<String, Usage>, StateError> {
        let mut found = BTreeMap::new();
        for name in names {
            found.extend(self.usage_between(day, name, name)?);
        }
        Ok(found)
    }

    fn usage_with_prefix(
        &self,
        day: Date,
        prefix: &str,
    ) -> Result<BTreeMap<String, Usage>, StateError> {
        self.usage_between(day, prefix, &format!("{prefix}{END}"))
    }

    fn count(&self, day: Date) -> Result<u64, StateError> {
        let connection = self.connection();
        let count = || -> rusqlite::Result<i64> {
            connection
                .prepare_cached("SELECT count(*) FROM counter WHERE day = ?1")?
                .query_row([day.to_string()], |row| row.get(0))
        };
        let count = count().map_err(|error| explain(&self.path, &error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn prune(&self, before: Date) -> Result<(), StateError> {
        // ISO dates of four-digit years sort as text.
        self.write(|transaction| {
            transaction
                .execute("DELETE FROM counter WHERE day < ?1", [before.to_string()])
                .map(drop)
        })
    }
}

/// Adds to a counter. No value goes below zero.
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

/// Creates the tables of a new file; returns the version of the file.
fn set_up(connection: &mut Connection) -> rusqlite::Result<i64> {
    let version = version_of(connection)?;
    if version != 0 {
        return Ok(version);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have created them first.
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

fn explain(path: &Path, error: &rusqlite::Error) -> StateError {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            StateErrorKind::Corrupt,
            "the file is damaged or not a counter database; move the file away and restart: counting starts anew, so \
             that today's limits may be used twice",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            StateErrorKind::ReadOnly,
            "cannot be written; the file and its folder must belong to the user that runs waxseal",
        ),
        Some(ErrorCode::DiskFull) => (
            StateErrorKind::Full,
            "the disk is full; nothing can be counted until space is freed",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            StateErrorKind::Busy,
            "another process has locked the file for too long; a backup or `sqlite3` may have it open",
        ),
        _ => {
            let message = format!("{}: {error}", path.display());
            return StateError::new(BACKEND, StateErrorKind::Other, message);
        }
    };
    StateError::new(BACKEND, kind, format!("{}: {message}", path.display()))
}
