//! Encoded values of parameters: xtext (RFC 3461, 4).

use std::fmt;

/// A value in xtext, as it was sent: a `+` is followed by two hexadecimal digits. It
/// has no spaces and control characters, so it can be passed on as it is. With
/// SMTPUTF8 it may have other characters than ASCII (RFC 6533).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct XText(Box<str>);

impl XText {
    /// Checks an encoded value.
    pub(crate) fn new(encoded: &[u8]) -> Option<Self> {
        let allowed = |&byte: &u8| byte >= 0x80 || byte.is_ascii_graphic();
        if encoded.is_empty() || !encoded.iter().all(allowed) {
            return None;
        }
        decode(encoded)?;
        Some(Self(std::str::from_utf8(encoded).ok()?.into()))
    }

    /// The encoded value, as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The decoded value: any bytes, control characters included.
    pub fn decoded(&self) -> Vec<u8> {
        decode(self.0.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for XText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for XText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Decodes xtext; `None` if a `+` is not followed by two hexadecimal digits.
pub(crate) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(at) = memchr::memchr(b'+', rest) {
        decoded.extend_from_slice(&rest[..at]);
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        let byte = digit(at + 1)? * 16 + digit(at + 2)?;
        decoded.push(u8::try_from(byte).ok()?);
        rest = &rest[at + 3..];
    }
    decoded.extend_from_slice(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_kept() {
        for (encoded, decoded) in [
            ("abc", "abc"),
            ("a+2Bb+3D", "a+b="),
            ("+0A+20", "\n "),
            ("a+2b", "a+"),
            ("ü", "ü"),
        ] {
            let value = XText::new(encoded.as_bytes()).expect("xtext");
            assert_eq!(value.as_str(), encoded);
            assert_eq!(value.decoded(), decoded.as_bytes());
        }
        for invalid in ["", "+", "+2", "a+2G", "a b", "a\tb", "a\u{7f}"] {
            assert_eq!(XText::new(invalid.as_bytes()), None, "{invalid:?}");
        }
        assert_eq!(XText::new(b"\xff"), None);
    }
}
