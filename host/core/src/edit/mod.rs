//! Edits of a message as data, and their application.
//!
//! Bytes that an edit does not name do not change. Pure functions; nothing here does I/O.

mod codec;
mod edits;
mod encoded_word;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod html;
mod insert;
mod leaf;
mod parameter;
mod plain;
mod report;
mod thread;
mod transport;
mod verify;
mod walk;
mod wrap;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use edits::{Edits, HeaderEdit, TransientHeader};
pub use header::{Stamp, header_edits};
pub use insert::{Insertion, insert};
pub use report::{Context, DisclaimerReport, Outcome, Reason, Settings, UneditableAction};
pub use transport::{Prepared, Transport, Warning, is_safe, prepare};
pub use verify::verify_untouched;
