//! A difference between what a case expects and what it got.

use serde::Serialize;

/// A difference between expectation and result.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The key of the expectation in the test file.
    pub what: String,
    /// Line of the expectation in the test file.
    pub line: Option<usize>,
    /// Expected value; one line per list element.
    pub expected: String,
    /// Actual value.
    pub actual: String,
    /// Explanation.
    pub note: Option<String>,
    /// Unified diff from the expected to the actual text.
    pub diff: Option<String>,
    /// Whether the golden file differs.
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
