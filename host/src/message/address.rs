//! Addresses of the SMTP envelope (RFC 5321, section 4.1.2).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest path that RFC 5321 (section 4.5.3.1.3) allows, angle brackets
/// excluded.
const MAXIMUM_LENGTH: usize = 254;

/// An address of the envelope without its angle brackets: a local part and,
/// but for local submission, a domain. Never empty, and free of whatever could
/// end an SMTP command early.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Box<str>);

/// Why a text is not an envelope address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is nothing in it.
    #[error("the address is empty")]
    Empty,
    /// It is longer than a path may be.
    #[error("the address has {0} bytes, and {MAXIMUM_LENGTH} are the most (RFC 5321, 4.5.3.1.3)")]
    TooLong(usize),
    /// A control character, a line end, an angle bracket or an unquoted space.
    #[error("the address holds {0:?}, which no envelope address may")]
    Character(char),
    /// The bytes are not UTF-8.
    #[error("the address is not valid UTF-8")]
    Encoding,
    /// Nothing before or after the `@`.
    #[error("the address lacks a local part or a domain")]
    Incomplete,
}

impl Address {
    /// Reads an address as it stands in an SMTP command, with or without angle
    /// brackets.
    ///
    /// # Errors
    ///
    /// Tells what of RFC 5321 (section 4.1.2) it does not keep to.
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

    /// The same for bytes of the wire.
    ///
    /// # Errors
    ///
    /// As [`Address::parse`], and when the bytes are not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| AddressError::Encoding)?)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(&*self.0, |(local, _)| local)
    }

    /// What stands behind the last `@`; none for a name without a domain.
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

/// The envelope sender: an address, or null (`<>`), as delivery reports have it
/// (RFC 5321, section 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nothing may be sent back.
    Null,
    /// Where reports of failure go.
    Address(Address),
}

impl ReversePath {
    /// Reads the argument of MAIL FROM; nothing or `<>` is the null sender.
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
    fn what_could_end_a_command_is_no_address() {
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
