//! Decisions written down, and decided again.
//!
//! A [`Recording`] writes what the policy was asked, what it was told and what
//! it said, in a thread of its own: mail never waits for the disk, and what
//! cannot be written in time is dropped and counted. [`read`] gives the entries
//! back, also while more are written and after a crash in the middle of a line;
//! [`replay`] has another version of the policy decide on them and tells what it
//! would have decided otherwise. The same version says the same, bit for bit:
//! the seed of each decision is recorded with it.
//!
//! A recording is a folder of segments, which are folders themselves:
//!
//! | file | what |
//! | --- | --- |
//! | `20261121T215948.123Z/decisions.jsonl` | one [`Entry`] a line |
//! | `20261121T215948.123Z/SHA256.eml` | messages of these entries, where they are kept |
//!
//! A segment can be copied, looked at and deleted by itself. The oldest are
//! deleted when the recording would outgrow its maximum. Everything is private
//! (0700, 0600): it is people's mail.

pub mod diff;
mod entry;
mod event;
mod read;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Client, Cost, Entry, FORMAT, Recipient, RecordedResult, StoredMessage};
pub use event::{ByteBudget, OwnedDecisionEvent, QueuedEvent};
pub use read::{Messages, ReadError, Reader, Recorded, read};
pub use replay::{Decider, Options, Report, replay};
pub use write::{Counts, RecordError, Recording};
