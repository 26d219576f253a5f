//! Errors of the daemon's start.

use std::path::PathBuf;

use thiserror::Error;
use waxseal::config::{ConfigError, Problem};
use waxseal::crypto::SecretError;
use waxseal::quota::LedgerError;
use waxseal::state::StateError;
use waxseal_milter::BindError;
use waxseal_runtime::LoadError;

use super::listeners::UnknownGroup;

/// Errors that prevent the daemon from starting.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that the configuration names has problems.
    #[error("{} problem(s) in files that the configuration names (see `waxseal check`)", .0.len())]
    Problems(Vec<Problem>),
    /// No listener is configured.
    #[error("{0}: no [[listener]] is configured; add one for the mail server to connect to")]
    NoListener(PathBuf),
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket's group does not exist.
    #[error(transparent)]
    Group(#[from] UnknownGroup),
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sandbox cannot be made.
    #[error("cannot create the sandbox: {0}")]
    Sandbox(#[from] LoadError),
    /// Signals cannot be received.
    #[error("cannot install signal handlers: {0}")]
    Signals(std::io::Error),
}
