//! Selection of the state backend.

use std::path::PathBuf;
use std::sync::Arc;

use super::sqlite::{SqliteCounters, SqliteJournal, SqliteRelays};
use super::{CounterStore, JournalStore, RelayStore, State, StateError};
use crate::config::Config;

/// Which backend holds the state, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateOptions {
    /// SQLite files in a private folder.
    Sqlite {
        /// The folder.
        folder: PathBuf,
    },
}

impl StateOptions {
    /// SQLite files in a private folder, which is created if it is missing.
    pub fn sqlite(folder: impl Into<PathBuf>) -> Self {
        Self::Sqlite {
            folder: folder.into(),
        }
    }
}

/// The backend of a configuration: SQLite in its `state` folder.
impl From<&Config> for StateOptions {
    fn from(config: &Config) -> Self {
        Self::sqlite(&config.state)
    }
}

/// Opens the state, and creates what is missing.
///
/// # Errors
///
/// When the backend cannot be used.
pub fn open(options: &StateOptions) -> Result<State, StateError> {
    let counters: Arc<dyn CounterStore> = match options {
        StateOptions::Sqlite { folder } => Arc::new(SqliteCounters::open(folder)?),
    };
    Ok(State::new(counters))
}

/// Opens the state for reading and changes nothing. `None` if there is no state
/// yet.
///
/// # Errors
///
/// When the state cannot be read.
pub fn open_read_only(options: &StateOptions) -> Result<Option<State>, StateError> {
    let counters = match options {
        StateOptions::Sqlite { folder } => SqliteCounters::open_read_only(folder)?
            .map(|counters| Arc::new(counters) as Arc<dyn CounterStore>),
    };
    Ok(counters.map(State::new))
}

/// Opens the store of what is known of relays, and creates it if it is missing.
///
/// # Errors
///
/// When the backend cannot be used.
pub fn open_relays(options: &StateOptions) -> Result<Arc<dyn RelayStore>, StateError> {
    Ok(match options {
        StateOptions::Sqlite { folder } => Arc::new(SqliteRelays::open(folder)?),
    })
}

/// Opens the journal of deliveries, and creates it if it is missing or damaged.
///
/// # Errors
///
/// When the backend cannot be used. Mail can be delivered without a journal.
pub fn open_journal(options: &StateOptions) -> Result<Arc<dyn JournalStore>, StateError> {
    Ok(match options {
        StateOptions::Sqlite { folder } => Arc::new(SqliteJournal::open(folder)?),
    })
}
