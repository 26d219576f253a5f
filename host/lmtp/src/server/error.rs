//! Errors that end a connection.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// An error that ends a connection.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the client closed the connection within a message")]
    Gone,
    #[error("no {what} within {limit:?}")]
    Timeout { what: &'static str, limit: Duration },
    #[error("write timeout: the client does not read its replies")]
    WriteTimeout,
    #[error("too many protocol errors")]
    Errors,
    #[error("the memory limit for all messages is reached")]
    Memory,
    #[error("no LHLO so far, and the connection limit is reached")]
    Evicted,
}

impl ConnectionError {
    /// Clients may end or leave a connection; the rest is worth a warning.
    pub(super) fn is_usual(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Evicted)
            || matches!(self, Self::Timeout { what, .. } if *what == "command")
    }
}
