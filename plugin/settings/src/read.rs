//! Reading of a whole text.

use std::cell::RefCell;

use toml::de::DeTable;

use crate::problem::Problem;
use crate::table::Table;

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
