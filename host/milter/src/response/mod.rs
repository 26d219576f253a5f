//! Encoding of a response as one buffer of replies, to be written at once.
//!
//! Two writes cost 45 to 90 ms a message over TCP; and after a failure between them,
//! an MTA whose default action is accept would deliver a message with half of its
//! edits. So a response is either encoded completely, or is an error that names what
//! this MTA cannot do.

mod encode;
mod error;
mod headers;
mod smtp;
#[cfg(test)]
mod tests;

pub use encode::{MessageShape, encode};
pub use error::EncodeError;

pub(crate) use encode::encode_failure;
