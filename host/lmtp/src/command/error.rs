//! Commands that are refused before their place in the session matters.

use crate::envelope::{InvalidParameter, InvalidPath};
use crate::reply::Reply;

/// A command that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// Not a command of LMTP, or HELO or EHLO (RFC 2033, 4.1: code 500).
    Unrecognized,
    /// A command that is known and not implemented.
    NotImplemented,
    /// A control character in the line, or a line that ends with LF only.
    InvalidLine,
    /// A line longer than [`LONGEST_LINE`](crate::session::LONGEST_LINE).
    LongLine,
    /// Its arguments; the text is what was expected.
    Arguments(&'static str),
    /// The sender's address.
    Sender(InvalidPath),
    /// The recipient's address.
    Recipient(InvalidPath),
    /// Its parameters.
    Parameter(InvalidParameter),
    /// An attribute of XFORWARD.
    Attribute,
}

impl CommandError {
    /// Whether the client violates the protocol. Addresses, parameters and
    /// attributes that are refused may be what some user typed: a delivery with many
    /// of them is not an attack.
    pub(crate) fn is_violation(&self) -> bool {
        !matches!(
            self,
            Self::Sender(_) | Self::Recipient(_) | Self::Parameter(_) | Self::Attribute
        )
    }

    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Unrecognized => {
                Reply::fixed(500, (5, 5, 2), "command not recognized; this is LMTP")
            }
            Self::NotImplemented => Reply::fixed(502, (5, 5, 1), "command not implemented"),
            Self::InvalidLine => Reply::fixed(
                500,
                (5, 5, 2),
                "control character in command, or line not ended by CRLF",
            ),
            Self::LongLine => Reply::fixed(500, (5, 5, 2), "line too long"),
            Self::Arguments(expected) => {
                Reply::fixed(501, (5, 5, 4), format!("syntax: {expected}"))
            }
            Self::Sender(error) => Reply::fixed(501, (5, 1, 7), error.to_string()),
            Self::Recipient(error) => Reply::fixed(501, (5, 1, 3), error.to_string()),
            Self::Parameter(InvalidParameter::Unknown) => {
                Reply::fixed(555, (5, 5, 4), "unsupported parameter")
            }
            Self::Parameter(InvalidParameter::Invalid(name)) => Reply::fixed(
                501,
                (5, 5, 4),
                format!("invalid or repeated parameter: {name}"),
            ),
            Self::Attribute => Reply::fixed(501, (5, 5, 4), "invalid XFORWARD attribute"),
        }
    }
}
