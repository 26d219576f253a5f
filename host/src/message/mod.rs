//! A message as bytes plus a map of them.
//!
//! The bytes are kept as they came and are never rebuilt: whoever edits a
//! message finds the range to change here and leaves the rest alone. Nothing in
//! this module does I/O.

mod address;
mod content;
mod envelope;

pub use address::{Address, AddressError, ReversePath};
pub use content::{Content, Field};
pub use envelope::{Client, Envelope, Recipient};

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
