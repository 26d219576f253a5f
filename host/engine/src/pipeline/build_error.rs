//! The error of building a snapshot.

use std::fmt;
use std::ops::Deref;

use crate::config::{Problem, Severity};

/// All problems of a snapshot that cannot be built, including warnings. Dereferences to the list.
#[derive(Clone, Debug)]
pub struct BuildError(pub Vec<Problem>);

impl fmt::Display for BuildError {
    /// The errors, one per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        for (at, error) in errors.enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

impl Deref for BuildError {
    type Target = [Problem];

    fn deref(&self) -> &[Problem] {
        &self.0
    }
}

impl From<BuildError> for Vec<Problem> {
    fn from(error: BuildError) -> Self {
        error.0
    }
}
