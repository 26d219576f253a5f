//! One connection of an MTA, as a state machine without I/O.
//!
//! [`Session::step`] takes one frame, appends to a buffer whatever the MTA waits
//! for, and says what the caller has to do next. [`State`] holds the rule which
//! step may follow which; a frame that breaks it ends the connection. Several
//! messages follow each other on one connection; whatever is known of one is
//! forgotten at the next MAIL, at ABORT and at the end of the message.

mod collect;
mod context;
mod error;
mod machine;
mod message;
mod state;
#[cfg(test)]
pub(in crate::milter) mod tests;

pub use error::ProtocolError;
pub use machine::{Session, Step};
pub use message::{Collected, EndOfMessage};
pub use state::State;
