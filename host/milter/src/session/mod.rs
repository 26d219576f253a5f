//! The session: one connection of an MTA as a state machine without I/O.
//!
//! [`Session::step`] takes one frame, appends replies to a buffer, and returns what
//! the caller does next. [`State`] defines the order of commands; a command that
//! violates it closes the connection. Several messages follow each other on one
//! connection; the state of one is cleared at the next MAIL, at ABORT and at the end
//! of the message.

mod collect;
mod context;
mod error;
mod machine;
mod message;
mod state;
#[cfg(test)]
pub(crate) mod tests;

pub use error::ProtocolError;
pub use machine::{Session, Step};
pub use message::{Collected, EndOfMessage};
pub use state::State;
