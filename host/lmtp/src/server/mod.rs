//! The server: listeners, connections, limits and orderly shutdown.
//!
//! Each connection is a task, and so is the handler of each message. A failure of
//! one (a broken connection, a panic of the handler) ends in one log line and does
//! not affect another. Log lines have the fields `listener`, `peer` and, where it is
//! known, `ident`, the queue id of the MTA.

mod acknowledge;
mod connection;
mod deliver;
mod error;
mod limits;
mod listen;
mod scratch;
mod settings;
mod shared;
mod stage;

pub use limits::Limits;
pub use listen::Server;
pub use settings::ListenerSettings;

#[cfg(test)]
mod tests;
