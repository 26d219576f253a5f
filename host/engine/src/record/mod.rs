//! Recording and replay of decisions.
//!
//! A [`Recording`] writes each decision with its input, in a thread of its own: mail never waits for the disk, and
//! entries that cannot be written in time are dropped and counted. [`read`] returns the entries, also while more are
//! written and after a crash in the middle of a line; [`replay`] decides on them with another version of the policy
//! and reports the differences. The same version gives the same decisions, bit for bit, because the seed of each
//! decision is recorded.
//!
//! A recording is a folder of segments, which are folders themselves:
//!
//! | file | contents |
//! | --- | --- |
//! | `20261121T215948.123Z/decisions.jsonl` | one [`Entry`] a line |
//! | `20261121T215948.123Z/SHA256.eml` | messages of these entries, if they are stored |
//!
//! A segment can be copied, read and deleted separately. The oldest are deleted when the recording would exceed its
//! maximum. Everything is private (0700, 0600), because it contains people's mail.

mod entry;
mod read;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Client, Cost, Entry, FORMAT, Recipient, StoredMessage};
pub use read::{Messages, ReadError, Reader, Recorded, read};
pub use replay::{Options, RecordedVersion, Report, replay};
pub use write::{Counts, RecordError, Recording};
