//! Reads TOML settings and tells every problem at once, each with its place.
//!
//! Deserialisation by `serde` stops at the first mistake. An administrator who
//! has made three wants to hear of three. Here a [`Table`] is asked for what it
//! should hold; whatever is missing, of the wrong type or not known is noted
//! with the bytes it stands at, and reading goes on.
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
//! assert_eq!(problems[1].message, "`hots` is not known here");
//! assert_eq!(problems[1].expected.as_deref(), Some("perhaps `host` is meant"));
//! ```

mod position;
mod problem;
mod read;
mod suggest;
mod table;
#[cfg(test)]
mod tests;

pub use position::{Spanned, line_and_column};
pub use problem::Problem;
pub use read::{MOST_PROBLEMS, read};
pub use table::{Entry, Item, Table};
