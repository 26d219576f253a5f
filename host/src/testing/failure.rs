//! A difference between what a case expects and what it got.

use serde::Serialize;

/// Something that is not as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What it is about, as the test file names it.
    pub what: String,
    /// Where that is expected, a line of the test file.
    pub line: Option<usize>,
    /// What was expected; several lines for a list.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// What there is to say about it.
    pub note: Option<String>,
    /// What would have to be changed in the message that was expected.
    pub diff: Option<String>,
    /// Whether it is the file with the whole message that differs.
    #[serde(skip)]
    pub(super) golden: bool,
}

impl Failure {
    pub(super) fn new(what: &str, expected: &str, actual: String) -> Self {
        Self {
            what: what.to_owned(),
            line: None,
            expected: expected.to_owned(),
            actual,
            note: None,
            diff: None,
            golden: false,
        }
    }

    pub(super) fn at(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    pub(super) fn note(self, note: String) -> Self {
        Self {
            note: Some(note),
            ..self
        }
    }

    pub(super) fn diff(self, diff: String) -> Self {
        Self {
            diff: Some(diff),
            ..self
        }
    }

    pub(super) fn golden(self) -> Self {
        Self {
            golden: true,
            ..self
        }
    }
}
