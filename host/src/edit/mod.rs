//! What is to be changed on a message, as data, and how it is applied.
//!
//! The rule: bytes that we were not asked to change do not change. Pure
//! functions only; nothing here does I/O.

mod edits;

pub use edits::{Edits, HeaderEdit};
