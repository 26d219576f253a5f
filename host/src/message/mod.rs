//! A message as bytes plus a map of them.
//!
//! The bytes are kept as they came and are never rebuilt: whoever edits a
//! message finds the range to change here and leaves the rest alone. Nothing in
//! this module does I/O.

mod address;
mod boundary;
mod charset;
mod content;
mod entity;
mod envelope;
mod limits;
mod mime;
mod names;
mod reading;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, ReversePath};
pub use charset::{Charset, Narrow, View};
pub use content::{Content, Field};
pub use entity::{Disposition, MediaType, TransferEncoding};
pub use envelope::{Client, Envelope, Recipient};
pub use limits::{Excess, Limits, Measure};
pub(crate) use mime::MAXIMUM_PARTS;
pub use mime::{Guess, Part, Structure};
pub use reading::{Attachment, Mailbox};

pub(crate) use charset::escape_in_force;
pub(crate) use content::map_fields;
pub(crate) use limits::addresses;
pub(crate) use names::{FieldName, NameCounts};
pub(crate) use reading::{
    has_pgp_armour, is_calendar, is_encrypted, is_signed, is_tnef, parse_mailboxes,
};

use jiff::Timestamp;

/// A message at the moment it is decided on: shared, never changed.
#[derive(Debug)]
pub struct Message {
    /// What SMTP said about it (RFC 5321).
    pub envelope: Envelope,
    /// When it arrived. Decisions, counters and signatures use this instant,
    /// so that a decision can be repeated.
    pub arrival: Timestamp,
    /// Header and body (RFC 5322).
    pub content: Content,
}
