//! Problems of files that administrators write, each with its place.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

/// Most problems that are reported of one file: nobody would read more.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// A file and its text, for showing the lines of problems.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path, as it was given.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

impl Source {
    /// A problem at some bytes of this file.
    pub fn problem(
        &self,
        severity: Severity,
        span: Range<usize>,
        message: impl Into<String>,
        expected: Option<String>,
    ) -> Problem {
        let end = self.text.len();
        let span = span.start.min(end)..span.end.clamp(span.start.min(end), end);
        let (line, column) = line_and_column(&self.text, span.start);
        Problem {
            severity,
            file: self.path.clone(),
            line: Some(line),
            column: Some(column),
            message: message.into(),
            expected,
            code: ProblemCode::InvalidSetting,
            place: Some((self.text.clone(), span)),
        }
    }
}

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Valid, but there is a safer way.
    Advice,
    /// Valid, but probably not intended.
    Warning,
    /// Invalid.
    Error,
}

/// Kind of a problem: a stable identifier, also in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// An invalid setting, with its position in the file.
    InvalidSetting,
    /// A file or folder that cannot be used.
    InvalidFile,
    /// The policy signs for a domain that has no DKIM key. `dkim.generate`
    /// creates it.
    MissingDkimKey,
}

/// A problem for an administrator: what is wrong, where, and what is expected.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Severity.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; `None` if the problem concerns the file as a whole.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What is expected.
    pub expected: Option<String>,
    /// Kind of problem, for programs.
    pub code: ProblemCode,
    #[serde(skip)]
    place: Option<(Arc<str>, Range<usize>)>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub fn of_file(
        file: impl Into<PathBuf>,
        message: impl Into<String>,
        expected: Option<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            column: None,
            message: message.into(),
            expected,
            code: ProblemCode::InvalidFile,
            place: None,
        }
    }

    /// The text of the file and the bytes that the problem is about; none if it
    /// is about the file as a whole. With these a program can show the line.
    pub fn place(&self) -> Option<(&str, Range<usize>)> {
        let (text, span) = self.place.as_ref()?;
        Some((text, span.clone()))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.expected {
            Some(expected) => write!(f, "; expected: {expected}"),
            None => Ok(()),
        }
    }
}

/// Line and column (both from 1, columns in characters) of a byte of `text`.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = 1 + before.matches('\n').count();
    (line, 1 + before[line_start..].chars().count())
}
