//! Settings of a session.

use super::content::BareNewlines;

/// Settings of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSettings {
    /// Name of this host in the greeting. Characters that do not belong into a host
    /// name become `?`.
    pub name: String,
    /// Largest message in bytes, announced as SIZE. Postfix bounces larger ones
    /// without asking, so this must exceed its `message_size_limit`, and what a
    /// milter adds.
    pub message_size: usize,
    /// Most recipients of one message. RFC 5321 (4.5.3.1.8) demands at least 100;
    /// Postfix sends up to `lmtp_destination_recipient_limit` (50).
    pub recipients: usize,
    /// Most protocol errors since the last message; then the connection is closed
    /// with 421. Refused addresses do not count.
    pub errors: u32,
    /// CR and LF in a message that are not parts of CRLF.
    pub bare_newlines: BareNewlines,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            name: "localhost".to_owned(),
            message_size: 128 << 20,
            recipients: 2000,
            errors: 20,
            bare_newlines: BareNewlines::Reject,
        }
    }
}
