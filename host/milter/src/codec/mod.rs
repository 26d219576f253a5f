//! The wire format: frames, commands of the MTA, replies of the milter.
//!
//! A frame is a length of four bytes (big-endian), one byte that names the command or
//! reply, and its data; the length includes the name. [`Decoder`] splits a stream
//! into frames, [`Command`] decodes commands, [`Reply`] encodes replies. Nothing here
//! does I/O or checks the order of commands: that is [`session`](super::session).
//!
//! Invalid input is an error, and memory is bounded by [`MAXIMUM_FRAME`].

pub mod actions;
mod command;
mod frame;
pub mod protocol_flags;
mod reply;
#[cfg(test)]
mod tests;

pub(crate) use command::parse_ip;
pub use command::{Arguments, Command, Kind, Macros, Malformed, OptNeg, PeerAddress};
pub use frame::{Decoder, Frame, FrameError, MAXIMUM_FRAME};
pub use reply::{LARGEST_REPLY, Reply, ReplyTooLong};
