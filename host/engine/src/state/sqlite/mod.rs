//! State in SQLite files in a private folder: the backend that needs no
//! installation.

mod counters;
mod database;
#[cfg(test)]
mod delivery_tests;
mod journal;
mod relays;
#[cfg(test)]
pub(crate) mod tests;

pub use counters::{COUNTERS_FILE, SqliteCounters};
pub use journal::{JOURNAL_FILE, SqliteJournal};
pub use relays::{RELAYS_FILE, SqliteRelays};
