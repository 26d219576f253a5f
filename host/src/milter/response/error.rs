//! Reasons why a response cannot be encoded for an MTA.

use thiserror::Error;

use crate::milter::codec::ReplyTooLong;
use crate::milter::negotiation::Negotiated;

/// The MTA cannot do what was decided; nothing was said to it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The MTA did not offer an action.
    #[error(
        "the MTA does not let milters {what} (version {version} of the milter protocol); let it offer that action, or change the settings that need it"
    )]
    NotOffered {
        /// What it would have to do.
        what: &'static str,
        /// Version in use.
        version: u32,
    },
    /// A field, an address or a text that no reply can carry.
    #[error(transparent)]
    TooLong(#[from] ReplyTooLong),
    /// A NUL ends every text of the protocol.
    #[error("the {0} holds a NUL byte, which the milter protocol cannot carry")]
    Nul(&'static str),
    /// The MTA and we do not agree on which fields the header has, so a field
    /// cannot be named.
    #[error(
        "the header cannot be mapped: the MTA counts {by_mta} fields, the message shows {by_us}; it is not edited"
    )]
    HeaderMismatch {
        /// Fields that the MTA sent.
        by_mta: usize,
        /// Fields that were found in the message.
        by_us: usize,
    },
    /// The body was not collected and yet is to be changed.
    #[error("the body is to be changed, but only the header was asked for")]
    BodyNotCollected,
}

/// Checks that the MTA offered an action.
pub(super) fn require(
    negotiated: &Negotiated,
    action: u32,
    what: &'static str,
) -> Result<(), EncodeError> {
    if negotiated.allows(action) {
        Ok(())
    } else {
        Err(EncodeError::NotOffered {
            what,
            version: negotiated.version(),
        })
    }
}
