//! Protocol errors: reasons to close a connection.

use thiserror::Error;

use super::state::State;
use crate::milter::codec::{FrameError, Kind, Malformed};
use crate::milter::negotiation::UnsupportedVersion;

/// What the peer sent is no milter conversation: this connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The stream cannot be cut into frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A step has no place where the conversation stands.
    #[error("{kind:?} has no place after {state:?}")]
    UnexpectedCommand {
        /// The step.
        kind: Kind,
        /// Where the conversation stood.
        state: State,
    },
    /// The peer is too old.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
}
