//! A problem of the settings.

use std::ops::Range;

/// A problem of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is expected.
    pub expected: Option<String>,
}
