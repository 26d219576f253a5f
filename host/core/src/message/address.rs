//! Addresses of the SMTP envelope (RFC 5321, section 4.1.2).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest path in bytes, without angle brackets (RFC 5321, section 4.5.3.1.3).
const MAXIMUM_LENGTH: usize = 254;

/// An envelope address without angle brackets: a local part and, except in local
/// submission, a domain. Never empty, at most 254 bytes, and without characters
/// that could end an SMTP command early.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Box<str>);

/// Why a text is not a valid envelope address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is empty.
    #[error("the address is empty")]
    Empty,
    /// It has more bytes than a path may have.
    #[error(
        "the address has {0} bytes; at most {MAXIMUM_LENGTH} are allowed (RFC 5321, 4.5.3.1.3)"
    )]
    TooLong(usize),
    /// A control character, a line end, an angle bracket or an unquoted space.
    #[error("invalid character {0:?} in the address")]
    Character(char),
    /// The bytes are not UTF-8.
    #[error("the address is not valid UTF-8")]
    Encoding,
    /// The local part or the domain is empty.
    #[error("the address has an empty local part or domain")]
    Incomplete,
}

impl Address {
    /// Parses an address as in an SMTP command, with or without angle brackets.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 5321 (section 4.1.2) that the text violates.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let text = text
            .strip_prefix('<')
            .and_then(|inner| inner.strip_suffix('>'))
            .unwrap_or(text);
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAXIMUM_LENGTH {
            return Err(AddressError::TooLong(text.len()));
        }
        let quoted = text.starts_with('"');
        if let Some(bad) = text
            .chars()
            .find(|&c| c.is_control() || matches!(c, '<' | '>') || (c == ' ' && !quoted))
        {
            return Err(AddressError::Character(bad));
        }
        if let Some((local, domain)) = text.rsplit_once('@')
            && (local.is_empty() || domain.is_empty())
        {
            return Err(AddressError::Incomplete);
        }
        Ok(Self(text.into()))
    }

    /// Parses the bytes of an address, as [`Address::parse`].
    ///
    /// # Errors
    ///
    /// As [`Address::parse`]; also if the bytes are not valid UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| AddressError::Encoding)?)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `@`; the whole address without one.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(&*self.0, |(local, _)| local)
    }

    /// The part after the last `@`; `None` for a name without a domain.
    pub fn domain(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0.into()
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// The envelope sender: an address, or null (`<>`), as in delivery reports
/// (RFC 5321, section 4.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: no report of failure may be sent.
    #[default]
    Null,
    /// The address that reports of failure are sent to.
    Address(Address),
}

impl ReversePath {
    /// Parses the argument of MAIL FROM; an empty one or `<>` is the null sender.
    ///
    /// # Errors
    ///
    /// As [`Address::parse`].
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        match Address::parse_bytes(bytes) {
            Ok(address) => Ok(Self::Address(address)),
            Err(AddressError::Empty) => Ok(Self::Null),
            Err(error) => Err(error),
        }
    }

    /// The address as text, empty for the null sender.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Address(address) => address.as_str(),
        }
    }

    /// The address, unless this is the null sender.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// An invalid address in an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{:?}: {error}", raw.escape_ascii().to_string())]
#[non_exhaustive]
pub struct InvalidAddress {
    /// The bytes that were received.
    pub raw: Box<[u8]>,
    /// The syntax error.
    #[source]
    pub error: AddressError,
}

impl InvalidAddress {
    /// The address in these bytes is invalid.
    pub fn new(raw: impl Into<Box<[u8]>>, error: AddressError) -> Self {
        Self {
            raw: raw.into(),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_or_without_brackets() {
        for text in ["<bob@example.org>", "bob@example.org"] {
            let address = Address::parse(text).expect(text);
            assert_eq!(
                (address.local_part(), address.domain()),
                ("bob", Some("example.org"))
            );
        }
        assert_eq!(Address::parse("root").expect("local").domain(), None);
        let quoted = Address::parse("\"a b@c\"@example.org").expect("quoted");
        assert_eq!(quoted.domain(), Some("example.org"));
    }

    #[test]
    fn characters_that_could_end_a_command_are_invalid() {
        assert_eq!(
            Address::parse("a@b\r\nDATA"),
            Err(AddressError::Character('\r'))
        );
        assert_eq!(Address::parse("a b@c"), Err(AddressError::Character(' ')));
        assert_eq!(Address::parse("a@"), Err(AddressError::Incomplete));
        assert_eq!(
            Address::parse_bytes(b"a\xff@b"),
            Err(AddressError::Encoding)
        );
        assert_eq!(
            Address::parse(&"a".repeat(300)),
            Err(AddressError::TooLong(300))
        );
    }

    #[test]
    fn a_null_sender_stays_null() {
        for bytes in [&b"<>"[..], b""] {
            assert_eq!(ReversePath::parse_bytes(bytes), Ok(ReversePath::Null));
        }
    }
}
