//! The journal of deliveries in a SQLite file.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::database::{Database, Schema};
use crate::state::{
    DeliveryKey, Epoch, JournalChange, JournalEntry, JournalStore, StateError, StateErrorKind,
};

/// Name of the file in the folder of state.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// Files of a database besides the main one.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

static SCHEMA: Schema = Schema {
    file: JOURNAL_FILE,
    version: 1,
    // `epoch` is set while a delivery is in flight, `reply` once it was taken. The
    // primary key is random, so that the index by time is what makes pruning cheap.
    tables: "
        CREATE TABLE delivery (
            message   BLOB NOT NULL,
            recipient BLOB NOT NULL,
            at        INTEGER NOT NULL,
            relay     TEXT NOT NULL,
            epoch     INTEGER,
            reply     TEXT,
            PRIMARY KEY (message, recipient),
            CHECK ((epoch IS NULL) <> (reply IS NULL))
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX delivery_at ON delivery (at);
    ",
    loss: "messages that are in delivery at this time may be sent twice",
};

/// The journal of deliveries in a SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    writer: Database,
    /// A connection of its own, which does not wait for the disk while changes are
    /// written.
    reader: Database,
}

impl SqliteJournal {
    /// Opens the journal in a folder of state. Creates both if they are missing.
    ///
    /// A damaged file, or one of a newer version, is moved away to
    /// `journal.sqlite.damaged`, since the journal is never worth stopping mail for.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or no file can be created.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        Self::open_sound(folder).or_else(|error| {
            let replaceable = matches!(
                error.kind,
                StateErrorKind::Corrupt | StateErrorKind::NewerVersion
            );
            if !replaceable {
                return Err(error);
            }
            tracing::warn!(
                %error,
                "moved the journal of deliveries away and created a new one: messages that are in delivery at this \
                 time may be sent twice"
            );
            for suffix in BESIDE {
                let file = folder.join(format!("{JOURNAL_FILE}{suffix}"));
                // Missing ones, and ones that cannot be moved: opening it tells.
                let _ = fs::rename(&file, folder.join(format!("{JOURNAL_FILE}.damaged{suffix}")));
            }
            Self::open_sound(folder)
        })
    }

    fn open_sound(folder: &Path) -> Result<Self, StateError> {
        let writer = Database::open(folder, &SCHEMA)?;
        // Reads every page: after releases there are few.
        let sound: String = writer.read(|connection| {
            connection.pragma_query_value(None, "quick_check", |row| row.get(0))
        })?;
        if sound != "ok" {
            let message = format!("{}: {sound}", folder.join(JOURNAL_FILE).display());
            return Err(StateError::new("sqlite", StateErrorKind::Corrupt, message));
        }
        let reader = Database::open(folder, &SCHEMA)?;
        Ok(Self { writer, reader })
    }

    #[cfg(test)]
    pub(crate) fn connection_for_tests(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.writer.connection()
    }
}

impl JournalStore for SqliteJournal {
    fn read(&self, keys: &[DeliveryKey]) -> Result<Vec<Option<JournalEntry>>, StateError> {
        self.reader
            .read(|connection| keys.iter().map(|key| entry(connection, key)).collect())
    }

    fn apply(&self, changes: &[JournalChange]) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.writer.write(|transaction| {
            changes
                .iter()
                .try_for_each(|change| apply(transaction, change))
        })
    }

    fn prune(&self, before: Timestamp, limit: usize) -> Result<usize, StateError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.writer.write(|transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM delivery WHERE (message, recipient) IN
                     (SELECT message, recipient FROM delivery WHERE at < ?1 ORDER BY at LIMIT ?2)",
                )?
                .execute(params![before.as_millisecond(), limit])
        })
    }

    fn count(&self) -> Result<u64, StateError> {
        let count: i64 = self.reader.read(|connection| {
            connection
                .prepare_cached("SELECT count(*) FROM delivery")?
                .query_row([], |row| row.get(0))
        })?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

fn entry(connection: &Connection, key: &DeliveryKey) -> rusqlite::Result<Option<JournalEntry>> {
    connection
        .prepare_cached(
            "SELECT at, relay, epoch, reply FROM delivery WHERE message = ?1 AND recipient = ?2",
        )?
        .query_row(params![key.message, key.recipient], from_row)
        .optional()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    let at = Timestamp::from_millisecond(row.get(0)?).unwrap_or(Timestamp::UNIX_EPOCH);
    let relay = row.get(1)?;
    let epoch: Option<i64> = row.get(2)?;
    Ok(match epoch {
        Some(epoch) => JournalEntry::InFlight {
            epoch: Epoch(epoch.cast_unsigned()),
            relay,
            at,
        },
        None => JournalEntry::Taken {
            relay,
            reply: row.get(3)?,
            at,
        },
    })
}

fn apply(transaction: &Transaction<'_>, change: &JournalChange) -> rusqlite::Result<()> {
    let done = match change {
        JournalChange::Release(key) => transaction
            .prepare_cached("DELETE FROM delivery WHERE message = ?1 AND recipient = ?2")?
            .execute(params![key.message, key.recipient]),
        JournalChange::GiveUp(key) => transaction
            .prepare_cached(
                "DELETE FROM delivery WHERE message = ?1 AND recipient = ?2 AND epoch IS NOT NULL",
            )?
            .execute(params![key.message, key.recipient]),
        JournalChange::Set(key, JournalEntry::InFlight { epoch, relay, at }) => transaction
            .prepare_cached(
                "INSERT INTO delivery (message, recipient, at, relay, epoch) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET at = ?3, relay = ?4, epoch = ?5 WHERE epoch IS NOT NULL",
            )?
            .execute(params![
                key.message,
                key.recipient,
                at.as_millisecond(),
                relay,
                epoch.0.cast_signed()
            ]),
        JournalChange::Set(key, JournalEntry::Taken { relay, reply, at }) => transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO delivery (message, recipient, at, relay, reply) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                key.message,
                key.recipient,
                at.as_millisecond(),
                relay,
                reply
            ]),
    };
    done.map(drop)
}
