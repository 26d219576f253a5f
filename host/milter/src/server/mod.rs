//! The server: listeners, connections, limits and orderly shutdown.
//!
//! Each connection is a task. A failure of one (invalid frames, a broken
//! connection, a panic of the filter) ends in one log line and does not affect
//! another. Log lines have the fields `listener`, `peer` and, where it is known,
//! `queue_id`.

mod connection;
mod limits;
mod listen;
mod process;
mod settings;
mod shared;

pub use limits::Limits;
pub use listen::Server;
pub use settings::ListenerSettings;
