//! What is known of relays, in a SQLite file.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::params;

use super::database::{Database, Schema};
use crate::state::{RelayStore, StateError};

/// Name of the file in the folder of state.
pub const RELAYS_FILE: &str = "relays.sqlite";

static SCHEMA: Schema = Schema {
    file: RELAYS_FILE,
    version: 1,
    tables: "
        CREATE TABLE relay (
            name  TEXT NOT NULL PRIMARY KEY,
            state TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
    loss: "relays that rest or are switched off are used again",
};

/// What is known of relays, in a SQLite file.
#[derive(Debug)]
pub struct SqliteRelays(Database);

impl SqliteRelays {
    /// Opens the file in a folder of state. Creates both if they are missing.
    ///
    /// # Errors
    ///
    /// When the folder is not private, or the file cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        Database::open(folder, &SCHEMA).map(Self)
    }

    /// Opens the file for reading and changes nothing. `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Option<Self>, StateError> {
        Ok(Database::open_read_only(folder, &SCHEMA)?.map(Self))
    }
}

impl RelayStore for SqliteRelays {
    fn load(&self) -> Result<BTreeMap<String, String>, StateError> {
        self.0.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT name, state FROM relay")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn save(&self, changes: &[(String, Option<String>)]) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.0.write(|transaction| {
            changes.iter().try_for_each(|(name, state)| {
                let done = match state {
                    Some(state) => transaction
                        .prepare_cached(
                            "INSERT OR REPLACE INTO relay (name, state) VALUES (?1, ?2)",
                        )?
                        .execute(params![name, state]),
                    None => transaction
                        .prepare_cached("DELETE FROM relay WHERE name = ?1")?
                        .execute([name]),
                };
                done.map(drop)
            })
        })
    }
}
