//! Reasons why the MIME structure of a message is ambiguous.

use serde::{Deserialize, Serialize};

/// Where the structure of a message is not what the standard gives, so that
/// another reader may see other parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guess {
    /// A Content-* field stands twice in one header.
    RepeatedField,
    /// A Content-Type that cannot be read.
    ContentType,
    /// A multipart without a boundary.
    NoBoundary,
    /// A boundary of more than 70 characters.
    LongBoundary,
    /// A multipart none of whose delimiters is there.
    NoParts,
    /// A multipart without its closing delimiter.
    NotClosed,
    /// A line that begins with a delimiter and goes on.
    LongDelimiter,
    /// Two open multiparts cannot be told apart by their boundaries.
    SameBoundary,
    /// A multipart that claims to be encoded (RFC 2045, section 6.4).
    EncodedMultipart,
    /// A header that no empty line ends.
    OpenHeader,
    /// More levels than are followed.
    TooDeep,
    /// More parts than are told apart.
    TooMany,
}

impl Guess {
    pub(super) fn note(self, guesses: &mut Vec<Self>) {
        if !guesses.contains(&self) {
            guesses.push(self);
        }
    }
}
