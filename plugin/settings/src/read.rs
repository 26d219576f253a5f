//! Reading of a whole text.

use toml::de::DeTable;

use crate::asked::Asked;
use crate::problem::Problem;
use crate::table::Table;

/// Maximum number of problems that are reported for one text. Each is shown with its lines: more would not be read, and for a
/// text that is invalid throughout, the cost would be its length for each of its lines.
pub const MAX_PROBLEMS: usize = 100;

/// Reads a text with `build`, which reads the keys of the top table. Keys that are not read are problems, too.
///
/// The problems are in the order of the text, at most [`MAX_PROBLEMS`] and one with the number of the rest. If there are any,
/// the result of `build` must not be used.
pub fn read<T>(text: &str, build: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let asked = Asked::new(errors.iter().map(syntax_problem).collect());
    let whole = document.span();
    let built = {
        let table = Table::new(document.get_ref(), whole, String::new(), &asked);
        build(&table)
    };
    let mut problems = asked.finish(document.get_ref());
    problems.sort_by_key(|problem| problem.span.start);
    (built, limited(problems))
}

fn limited(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS + 1);
        let last = &mut problems[MAX_PROBLEMS];
        last.message = format!("{more} more problems follow");
        last.expected = Some("correct the problems above first".to_owned());
    }
    problems
}

fn syntax_problem(error: &toml::de::Error) -> Problem {
    Problem {
        span: error.span().unwrap_or(0..0),
        message: format!("invalid TOML: {}", error.message()),
        expected: None,
    }
}
