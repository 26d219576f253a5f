//! Reasons why a message could not be processed.

use thiserror::Error;

use super::apply::ApplyError;
use super::resolve::ResolveError;
use super::split::Unroutable;
use waxseal_core::work::{Cause, Exhausted};
use waxseal_runtime::PolicyError;
use waxseal_system::pool::DeadlineExceeded;

/// Why a message could not be processed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The policy failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The decision could not be charged, or its return path is invalid.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The edits could not be made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The time limit was exceeded.
    #[error("time limit exceeded (limits.processing-time): {0}")]
    Stopped(Exhausted),
    /// The MTA no longer waited for the reply.
    #[error("canceled by the MTA: {0}")]
    Canceled(Exhausted),
    /// A copy that returned through the split listener has no route.
    #[error(transparent)]
    Unroutable(#[from] Unroutable),
    /// The time limit was exceeded by work that did not stop by itself.
    #[error("time limit exceeded (limits.processing-time): {0}")]
    DeadlineExceeded(#[from] DeadlineExceeded),
}

impl From<Exhausted> for Failure {
    fn from(stopped: Exhausted) -> Self {
        match stopped.cause {
            Cause::Canceled => Self::Canceled(stopped),
            Cause::Deadline | Cause::Steps => Self::Stopped(stopped),
        }
    }
}

impl Failure {
    /// The kind, as one word for statistics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Policy(error) => error.kind(),
            Self::Resolve(_) => "ledger",
            Self::Apply(error) => error.kind(),
            Self::Unroutable(_) => "unroutable",
            Self::Canceled(_) => "canceled",
            Self::Stopped(_) | Self::DeadlineExceeded(_) => "processing-time",
        }
    }

    /// Whether the cause is the message itself, so that a retry cannot succeed.
    pub fn is_of_message(&self) -> bool {
        matches!(self, Self::Apply(error) if error.is_of_message())
    }
}
