//! The wire: frames, what an MTA asks and what a milter answers.
//!
//! A frame is a length of four bytes (big-endian), one byte that names the
//! command or reply, and its data; the length counts the name and the data.
//! [`Decoder`] cuts a stream into frames, [`Command`] reads the MTA's side,
//! [`Reply`] writes ours. Nothing here does I/O or knows which step may follow
//! which: that is [`session`](super::session).
//!
//! Whatever bytes come in, the worst that happens is an error; memory is
//! bounded by [`MAXIMUM_FRAME`].

pub mod actions;
mod command;
mod frame;
pub mod protocol_flags;
mod reply;
#[cfg(test)]
mod tests;

pub(in crate::milter) use command::parse_ip;
pub use command::{Arguments, Command, Kind, Macros, Malformed, OptNeg, PeerAddress};
pub use frame::{Decoder, Frame, FrameError, MAXIMUM_FRAME};
pub use reply::{LARGEST_REPLY, Reply, ReplyTooLong};
