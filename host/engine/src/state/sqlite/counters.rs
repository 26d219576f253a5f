//! Daily counters in a SQLite file.
//!
//! Several processes of one machine may use one file. It must not be on a
//! network file system: write-ahead logs need shared memory.

use std::collections::BTreeMap;
use std::path::Path;
#[cfg(test)]
use std::sync::MutexGuard;

use jiff::civil::Date;
#[cfg(test)]
use rusqlite::Connection;
use rusqlite::{OptionalExtension, Transaction, params};

use super::database::{Database, Schema};
use crate::state::{CounterDelta, CounterStore, LeaseRequest, StateError, Usage};

/// Name of the file in the folder of state.
pub const COUNTERS_FILE: &str = "counters.sqlite";

/// The file is written durably (`synchronous = FULL`): otherwise, the last grants could
/// be lost in a power failure while their units are spent, and a counter would exceed
/// its maximum. Units are taken many at a time, so that this costs one flush of the
/// disk for many messages. A power failure can still undo deltas; the counter is then
/// too high, never too low.
static SCHEMA: Schema = Schema {
    file: COUNTERS_FILE,
    version: 1,
    tables: TABLES,
    loss: "counting starts at zero, so that today's limits may be used twice",
};

const TABLES: &str = "
    CREATE TABLE counter (
        day   TEXT NOT NULL,
        name  TEXT NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
        spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
        PRIMARY KEY (day, name)
    ) STRICT, WITHOUT ROWID;
";

/// Counters in a SQLite file.
#[derive(Debug)]
pub struct SqliteCounters(Database);

impl SqliteCounters {
    /// Opens the counters in a folder of state. Creates both if they are missing.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or the file cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        Database::open(folder, &SCHEMA).map(Self)
    }

    /// Opens the counters in a folder of state for reading and changes nothing.
    /// `None` if there are none yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Option<Self>, StateError> {
        Ok(Database::open_read_only(folder, &SCHEMA)?.map(Self))
    }

    #[cfg(test)]
    pub(crate) fn connection_for_tests(&self) -> MutexGuard<'_, Connection> {
        self.0.connection()
    }

    /// Counters with names in this range, which includes both ends, in the order of the primary key.
    fn usage_between(
        &self,
        day: Date,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, Usage>, StateError> {
        self.0.read(|connection| {
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
        })
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
        self.0.write(|transaction| {
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
        self.0.write(|transaction| {
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
        let count: i64 = self.0.read(|connection| {
            connection
                .prepare_cached("SELECT count(*) FROM counter WHERE day = ?1")?
                .query_row([day.to_string()], |row| row.get(0))
        })?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn prune(&self, before: Date) -> Result<(), StateError> {
        // ISO dates of four-digit years sort as text.
        self.0.write(|transaction| {
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
