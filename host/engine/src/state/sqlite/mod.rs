//! State in SQLite files in a private folder: the backend that needs no
//! installation.

mod counters;
#[cfg(test)]
pub(crate) mod tests;

pub use counters::{COUNTERS_FILE, SqliteCounters};
