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

mod suggest;
mod table;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

pub use table::{Entry, Item, Table};
use toml::de::DeTable;

/// Something in the settings that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the text that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: Option<String>,
}

/// A value and the bytes of the text that it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Most problems that are reported of one text. Each is shown with its lines: with
/// more of them nobody would read on, and a text that is wrong throughout would
/// cost its length for each of its lines.
pub const MOST_PROBLEMS: usize = 100;

/// Reads a whole text with `build`, which asks the top table for what it
/// should hold. Keys that nobody asked for are problems too.
///
/// The problems come in the order of the text, at most [`MOST_PROBLEMS`] and one
/// that says how many more there are. Where there are any, what `build` made is
/// not fit for use.
pub fn read<T>(text: &str, build: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let problems = RefCell::new(errors.iter().map(syntax_problem).collect::<Vec<_>>());
    let whole = document.span();
    let built = {
        let table = Table::new(document.get_ref(), whole, String::new(), &problems);
        build(&table)
    };
    let mut problems = problems.into_inner();
    problems.sort_by_key(|problem| problem.span.start);
    (built, limited(problems))
}

fn limited(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    if more > 0 {
        problems.truncate(MOST_PROBLEMS + 1);
        let last = &mut problems[MOST_PROBLEMS];
        last.message = format!("{more} more problems from here on");
        last.expected = Some("correct those above first".to_owned());
    }
    problems
}

fn syntax_problem(error: &toml::de::Error) -> Problem {
    Problem {
        span: error.span().unwrap_or(0..0),
        message: format!("not valid TOML: {}", error.message()),
        expected: None,
    }
}

/// Line and column (both from 1, columns in characters) of a byte of `text`.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |lf| lf + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count();
    (line, column)
}
