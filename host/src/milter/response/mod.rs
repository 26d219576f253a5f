//! What was decided, in the milter's words: one buffer, to be written at once.
//!
//! Two writes would cost 45 to 90 ms a message over TCP, and an MTA that is set
//! to accept when a milter dies would send a message on with half of its edits.
//! So either everything can be said to this MTA and is, or nothing is said and
//! the error tells what it cannot do.

mod encode;
mod error;
mod headers;
mod smtp;
#[cfg(test)]
mod tests;

pub use encode::{MessageShape, encode};
pub use error::EncodeError;

pub(in crate::milter) use encode::encode_failure;
