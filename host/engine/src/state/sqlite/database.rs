//! One SQLite file of state: opening, versions, transactions, errors.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::state::{StateError, StateErrorKind};
use waxseal_system::secure_fs;

/// Name of the backend in errors.
const BACKEND: &str = "sqlite";

/// Timeout of the file lock. Other processes lock the file for milliseconds;
/// after this, the message is deferred.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Write-ahead log: readers and the writer do not block each other.
///
/// `synchronous` is FULL: a commit returns when the disk has it. With NORMAL a
/// commit survives a crash of the process but not of the machine.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
";

/// What a file contains.
#[derive(Debug)]
pub(super) struct Schema {
    /// Name of the file in the folder of state.
    pub(super) file: &'static str,
    /// Version of the tables (`user_version`).
    pub(super) version: i64,
    /// Creates the tables.
    pub(super) tables: &'static str,
    /// What is lost when the file is moved away, for error messages.
    pub(super) loss: &'static str,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Database {
    schema: &'static Schema,
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file in a folder of state. Creates both if they are missing.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or the file cannot be used.
    pub(super) fn open(folder: &Path, schema: &'static Schema) -> Result<Self, StateError> {
        secure_fs::folder(folder).map_err(|error| {
            let message = format!("the folder of state: {error}");
            StateError::new(BACKEND, StateErrorKind::Permissions, message)
        })?;
        let path = folder.join(schema.file);
        let opened = Connection::open(&path).and_then(|mut connection| {
            connection.busy_timeout(LOCK_TIMEOUT)?;
            connection.execute_batch(SETTINGS)?;
            let version = schema.set_up(&mut connection)?;
            Ok((connection, version))
        });
        Self::check_version(schema, path, opened)
    }

    /// Opens the file for reading and changes nothing. `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn open_read_only(
        folder: &Path,
        schema: &'static Schema,
    ) -> Result<Option<Self>, StateError> {
        let path = folder.join(schema.file);
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
        Self::check_version(schema, path, opened).map(Some)
    }

    fn check_version(
        schema: &'static Schema,
        path: PathBuf,
        opened: rusqlite::Result<(Connection, i64)>,
    ) -> Result<Self, StateError> {
        let (connection, version) = opened.map_err(|error| schema.explain(&path, &error))?;
        if version > schema.version {
            let message = format!(
                "{}: written by a newer waxseal (format {version}, this one supports {}); run that version, or \
                 move the file away: {}",
                path.display(),
                schema.version,
                schema.loss
            );
            return Err(StateError::new(
                BACKEND,
                StateErrorKind::NewerVersion,
                message,
            ));
        }
        Ok(Self {
            schema,
            path,
            connection: Mutex::new(connection),
        })
    }

    /// A panic between two statements leaves no partial transaction: the guard
    /// rolls it back.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the file.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        work(&self.connection()).map_err(|error| self.explain(&error))
    }

    /// Runs one write transaction. It takes the write lock at its start: a
    /// transaction that starts as a reader fails when its snapshot is outdated.
    pub(super) fn write<T>(
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
        done.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &rusqlite::Error) -> StateError {
        self.schema.explain(&self.path, error)
    }
}

impl Schema {
    /// Creates the tables of a new file; returns the version of the file.
    fn set_up(&self, connection: &mut Connection) -> rusqlite::Result<i64> {
        let version = version_of(connection)?;
        if version != 0 {
            return Ok(version);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have created them first.
        if version_of(&transaction)? == 0 {
            transaction.execute_batch(self.tables)?;
            transaction.pragma_update(None, "user_version", self.version)?;
        }
        transaction.commit()?;
        version_of(connection)
    }

    fn explain(&self, path: &Path, error: &rusqlite::Error) -> StateError {
        let path = path.display();
        let (kind, message) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
                StateErrorKind::Corrupt,
                format!(
                    "{path}: the file is damaged or not a database of waxseal; move the file away and restart: {}",
                    self.loss
                ),
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
                StateErrorKind::ReadOnly,
                format!(
                    "{path}: cannot be written; the file and its folder must belong to the user that runs waxseal"
                ),
            ),
            Some(ErrorCode::DiskFull) => (
                StateErrorKind::Full,
                format!("{path}: the disk is full; nothing can be written until space is freed"),
            ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
                StateErrorKind::Busy,
                format!(
                    "{path}: another process has locked the file for too long; a backup or `sqlite3` may have it open"
                ),
            ),
            _ => (StateErrorKind::Other, format!("{path}: {error}")),
        };
        StateError::new(BACKEND, kind, message)
    }
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
