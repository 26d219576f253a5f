//! The error of a configuration that cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use super::problem::Problem;

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure of the system.
        error: std::io::Error,
    },
    /// The file has problems.
    #[error("{} problem(s) in the configuration; the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Problems(Vec<Problem>),
}
