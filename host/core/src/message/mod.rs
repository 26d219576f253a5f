//! A mail message: its bytes, a map of them, and what SMTP reports about it.
//!
//! The bytes never change and are never rebuilt: an editor finds the byte range
//! to change here and copies everything else. Nothing in this module does I/O.

mod address;
mod builder;
mod charset;
mod content;
mod envelope;
mod fields;
mod limits;
mod mime;
mod names;
mod reading;
mod reserved;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, InvalidAddress, ReversePath};
pub use builder::{Message, MessageBuilder};
pub use charset::{Charset, Narrow, View};
pub use content::Content;
pub use envelope::{Client, Envelope, Recipient};
pub use fields::{Field, map_fields};
pub use limits::{Excess, Limits, Measure, count_addresses};
pub use mime::{
    Ambiguity, Disposition, MAXIMUM_PARTS, MediaType, Part, Structure, TransferEncoding,
};
pub use names::{FieldName, NameCounts};
pub use reading::{Attachment, Mailbox};
pub use reserved::{PLAN_FIELD, ROUTE_FIELD, SPLIT_FIELD};

pub(crate) use charset::escape_in_force;
pub(crate) use reading::{
    has_pgp_armor, is_calendar, is_encrypted, is_signed, is_tnef, parse_mailboxes,
};
