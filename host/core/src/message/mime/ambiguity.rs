//! Reasons why the MIME structure of a message is ambiguous.

use serde::{Deserialize, Serialize};

/// A deviation of the structure of a message from the standard, for which other programs may find other parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ambiguity {
    /// A Content-* field occurs twice in one header.
    RepeatedField,
    /// An invalid Content-Type.
    ContentType,
    /// A multipart without a boundary.
    NoBoundary,
    /// A boundary of more than 70 characters.
    LongBoundary,
    /// A multipart without any of its delimiters.
    NoParts,
    /// A multipart without its closing delimiter.
    NotClosed,
    /// A line that begins with a delimiter and continues.
    LongDelimiter,
    /// The boundaries of two open multiparts are equal.
    SameBoundary,
    /// A multipart that claims to be encoded (RFC 2045, section 6.4).
    EncodedMultipart,
    /// A header without the empty line at its end.
    OpenHeader,
    /// More levels than the limit.
    TooDeep,
    /// More parts than the limit.
    TooMany,
}

impl Ambiguity {
    pub(super) fn note(self, ambiguities: &mut Vec<Self>) {
        if !ambiguities.contains(&self) {
            ambiguities.push(self);
        }
    }
}
