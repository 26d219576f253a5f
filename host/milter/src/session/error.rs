//! Protocol errors: reasons to close a connection.

use thiserror::Error;

use super::state::State;
use crate::codec::{FrameError, Kind, Malformed};
use crate::negotiation::UnsupportedVersion;

/// A violation of the protocol by the MTA: the connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Invalid frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Invalid command.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A command that is not allowed in the current state.
    #[error("unexpected {kind:?} in state {state:?}")]
    UnexpectedCommand {
        /// The command.
        kind: Kind,
        /// The state.
        state: State,
    },
    /// Unsupported version.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
}
