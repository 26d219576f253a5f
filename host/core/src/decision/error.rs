//! The error of an invalid decision.

use thiserror::Error;

/// Why a decision cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidDecision {
    /// The reply code does not match the verdict.
    #[error("invalid reply code {code} for {verdict}: expected {expected}")]
    ReplyCode {
        /// The code.
        code: u16,
        /// `reject` or `defer`.
        verdict: &'static str,
        /// The codes that are valid.
        expected: &'static str,
    },
    /// The enhanced status code is malformed, or its class differs from the code's.
    #[error(
        "invalid enhanced status code {enhanced:?} for {code}: expected one like \"{first}.7.1\" (RFC 3463)"
    )]
    Enhanced {
        /// The enhanced status code.
        enhanced: String,
        /// The reply code.
        code: u16,
        /// First digit of the code.
        first: u16,
    },
    /// The reply text has characters that SMTP does not allow.
    #[error("invalid character in the reply text: expected printable ASCII and LF")]
    ReplyText,
    /// Invalid name of a header field (RFC 5322, section 2.2).
    #[error("invalid header field name {0:?}")]
    FieldName(String),
    /// A header field that a policy must not change.
    #[error("a policy must not change the header field {0}")]
    Reserved(String),
    /// A header value with a line end or NUL.
    #[error("the value of header field {0} contains a line end or NUL")]
    FieldValue(String),
    /// Invalid domain name.
    #[error("invalid domain name {0:?}")]
    Domain(String),
    /// Invalid name of a counter.
    #[error("invalid counter name {0:?}: expected printable ASCII without blanks")]
    Counter(String),
    /// A counter that only Waxseal may charge.
    #[error("the counter name {0} is reserved for Waxseal: use another name")]
    HostCounter(String),
    /// A list with too many entries.
    #[error("too many {what}: {count}, at most {limit} are allowed")]
    TooMany {
        /// The entries.
        what: &'static str,
        /// Number of entries.
        count: usize,
        /// Largest number allowed.
        limit: usize,
    },
    /// A text that is too long.
    #[error("{what} has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Name of the text.
        what: String,
        /// Its length in bytes.
        bytes: usize,
        /// Largest length in bytes.
        limit: usize,
    },
}
