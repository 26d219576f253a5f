//! A reader of TOML settings that reports all problems at once, each with its position.
//!
//! Deserialization by `serde` stops at the first mistake. Here each key of a [`Table`] is read by a call; a value that is
//! missing, of the wrong type or unknown is reported with its byte range, and reading continues.
//!
//! ```
//! let text = "port = 99999\nhots = \"a\"\n";
//! let (port, problems) = waxseal_settings::read(text, |table| {
//!     table.string("host");
//!     table.integer("port", 1..=65535)
//! });
//! assert_eq!(port, None);
//! assert_eq!(problems.len(), 2);
//! assert_eq!(problems[0].message, "`port` is 99999");
//! assert_eq!(problems[0].expected.as_deref(), Some("a whole number from 1 to 65535"));
//! assert_eq!(problems[1].message, "unknown key `hots`");
//! assert_eq!(problems[1].expected.as_deref(), Some("`host`, the most similar key"));
//! ```

mod asked;
mod position;
mod problem;
mod read;
mod suggest;
mod table;
#[cfg(test)]
mod tests;

pub use position::{Spanned, line_and_column};
pub use problem::Problem;
pub use read::{MAX_PROBLEMS, read};
pub use table::{Entry, Item, Table};
