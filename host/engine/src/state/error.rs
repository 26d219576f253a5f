//! The error of every state backend.

use thiserror::Error;

/// A failure of a state backend. The message names the object (a file, an
/// address) and what to do about it.
#[derive(Clone, Debug, Error)]
#[error("{backend} state: {message}")]
#[non_exhaustive]
pub struct StateError {
    /// Name of the backend, such as `sqlite`.
    pub backend: &'static str,
    /// What went wrong, for code that reacts to it.
    pub kind: StateErrorKind,
    /// What went wrong, for the administrator.
    pub message: String,
}

impl StateError {
    /// An error of a backend.
    pub fn new(backend: &'static str, kind: StateErrorKind, message: impl Into<String>) -> Self {
        Self {
            backend,
            kind,
            message: message.into(),
        }
    }
}

/// What went wrong in a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateErrorKind {
    /// Other users can read the state, or it cannot be created.
    Permissions,
    /// The data is damaged, or not written by Waxseal.
    Corrupt,
    /// The state cannot be written.
    ReadOnly,
    /// No space is left.
    Full,
    /// A newer version of Waxseal wrote it.
    NewerVersion,
    /// Another process locks it.
    Busy,
    /// Another failure.
    Other,
}
