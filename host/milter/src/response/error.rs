//! Reasons why a response cannot be encoded for an MTA.

use thiserror::Error;

use crate::codec::ReplyTooLong;
use crate::negotiation::Negotiated;

/// A response that cannot be encoded for this MTA. Nothing of it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The MTA did not offer an action.
    #[error(
        "the MTA does not permit milters to {what} (milter protocol version {version}): permit it in the MTA, or change the settings that need it"
    )]
    NotOffered {
        /// The missing permission.
        what: &'static str,
        /// Negotiated version.
        version: u32,
    },
    /// A header field, address or text is too long for a reply.
    #[error(transparent)]
    TooLong(#[from] ReplyTooLong),
    /// A string contains NUL, the terminator of strings.
    #[error("invalid {0}: contains a NUL byte")]
    Nul(&'static str),
    /// The MTA and this library found different numbers of header fields, so an index
    /// would be wrong.
    #[error("the header cannot be edited: the MTA sent {by_mta} fields, the message has {by_us}")]
    HeaderMismatch {
        /// Fields that the MTA sent.
        by_mta: usize,
        /// Fields that were found in the message.
        by_us: usize,
    },
    /// The response replaces a body that was not collected.
    #[error("the body cannot be replaced: only the header was collected")]
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
