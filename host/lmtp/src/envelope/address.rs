//! Addresses of MAIL and RCPT (RFC 5321, 4.1.2; RFC 6531, 3.3).

use std::fmt;

use thiserror::Error;

/// Longest address in bytes. RFC 5321 (4.5.3.1) permits 254; MTAs have longer ones,
/// and refusing them would bounce mail that the next server may accept.
const LONGEST: usize = 1024;

/// An envelope address as it was sent, without the angle brackets: a quoted local
/// part stays quoted. It has no control characters, spaces and angle brackets
/// outside of a quoted local part, and may have no domain (`postmaster`).
///
/// Non-ASCII characters are UTF-8. They are accepted without SMTPUTF8, too: Postfix
/// with `smtputf8_enable = no` sends such addresses as they came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: Box<str>,
    /// Bytes of the local part.
    local: usize,
}

impl Address {
    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part, with its quotes if it was quoted.
    pub fn local_part(&self) -> &str {
        &self.text[..self.local]
    }

    /// What follows the `@`: a name or a literal in square brackets.
    pub fn domain(&self) -> Option<&str> {
        self.text.get(self.local + 1..)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// A path of MAIL or RCPT that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// It is not in angle brackets.
    #[error("expected an address in angle brackets")]
    NoBrackets,
    /// It is a source route. RFC 5321 (appendix F.2) deprecates them; the MTA has
    /// resolved them before it delivers.
    #[error("source routes are not accepted")]
    SourceRoute,
    /// It is empty where a recipient is expected.
    #[error("expected a recipient")]
    Empty,
    /// A character that needs quotes, an unfinished quoted string, and so on.
    #[error("invalid address syntax")]
    Syntax,
    /// It is not UTF-8.
    #[error("the address is not UTF-8")]
    NotUtf8,
    /// It is too long.
    #[error("the address is longer than {LONGEST} bytes")]
    TooLong,
}

/// Reads `<…>` at the start of `input`; returns the address, `None` if it is empty,
/// and the rest.
pub(crate) fn path(input: &[u8]) -> Result<(Option<Address>, &[u8]), InvalidPath> {
    let Some(inner) = input.strip_prefix(b"<") else {
        return Err(InvalidPath::NoBrackets);
    };
    if let Some(rest) = inner.strip_prefix(b">") {
        return Ok((None, rest));
    }
    if inner.starts_with(b"@") {
        return Err(InvalidPath::SourceRoute);
    }
    let local = local_part(inner).ok_or(InvalidPath::Syntax)?;
    let end = match inner.get(local) {
        Some(b'@') => local + 1 + domain(&inner[local + 1..]).ok_or(InvalidPath::Syntax)?,
        _ => local,
    };
    if inner.get(end) != Some(&b'>') {
        return Err(InvalidPath::Syntax);
    }
    if end > LONGEST {
        return Err(InvalidPath::TooLong);
    }
    let text = std::str::from_utf8(&inner[..end]).map_err(|_| InvalidPath::NotUtf8)?;
    let address = Address {
        text: text.into(),
        local,
    };
    Ok((Some(address), &inner[end + 1..]))
}

/// Length of a local part: a quoted string, or characters that need no quotes. Dots
/// at any place are accepted.
fn local_part(input: &[u8]) -> Option<usize> {
    if input.first() != Some(&b'"') {
        let end = input.iter().position(|&byte| !is_local(byte));
        return end.filter(|&end| end > 0);
    }
    let mut at = 1;
    loop {
        match input.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                input.get(at + 1)?;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte >= 0x80 || byte.is_ascii_graphic() && !br#""(),:;<>@[\]"#.contains(&byte)
}

/// Length of a domain or an address literal.
fn domain(input: &[u8]) -> Option<usize> {
    let is_name = |byte: u8| byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_literal = |byte: u8| byte.is_ascii_graphic() && !br"[\]<>".contains(&byte);
    let end = if input.first() == Some(&b'[') {
        let end = 1 + input[1..].iter().position(|&byte| !is_literal(byte))?;
        (input[end] == b']').then_some(end + 1)?
    } else {
        input.iter().position(|&byte| !is_name(byte))?
    };
    (end > 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(String, Option<String>)>, InvalidPath> {
        let (address, rest) = path(text.as_bytes())?;
        assert_eq!(rest, b"");
        Ok(address.map(|address| {
            assert_eq!(
                address.as_str(),
                &text[1..text.len() - 1],
                "the address is as it was sent"
            );
            let domain = address.domain().map(str::to_owned);
            (address.local_part().to_owned(), domain)
        }))
    }

    #[test]
    fn addresses_are_kept_as_they_were_sent() {
        for (text, local, domain) in [
            ("<a@b.test>", "a", Some("b.test")),
            ("<postmaster>", "postmaster", None),
            (r#"<"a b"@c>"#, r#""a b""#, Some("c")),
            (r#"<"a@b>\"c\\"@c>"#, r#""a@b>\"c\\""#, Some("c")),
            ("<a..b.+x=y@c>", "a..b.+x=y", Some("c")),
            ("<a@[192.0.2.1]>", "a", Some("[192.0.2.1]")),
            ("<a@[IPv6:2001:db8::1]>", "a", Some("[IPv6:2001:db8::1]")),
            ("<jürgen@bücher.test>", "jürgen", Some("bücher.test")),
        ] {
            let expected = Some((local.to_owned(), domain.map(str::to_owned)));
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert_eq!(read("<>"), Ok(None));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        for (text, expected) in [
            ("a@b", InvalidPath::NoBrackets),
            ("", InvalidPath::NoBrackets),
            ("<@a:b@c>", InvalidPath::SourceRoute),
            ("<@a,@b:c@d>", InvalidPath::SourceRoute),
            ("<a@b", InvalidPath::Syntax),
            ("<a b@c>", InvalidPath::Syntax),
            ("<a@b@c>", InvalidPath::Syntax),
            ("<a@>", InvalidPath::Syntax),
            ("<a@b c>", InvalidPath::Syntax),
            ("<a@[1>", InvalidPath::Syntax),
            ("<a@[", InvalidPath::Syntax),
            ("<a@b/c>", InvalidPath::Syntax),
            (r#"<"a@b>"#, InvalidPath::Syntax),
            (r#"<"a\"#, InvalidPath::Syntax),
            (r#"<"a"b@c>"#, InvalidPath::Syntax),
            ("<a<b@c>", InvalidPath::Syntax),
        ] {
            assert_eq!(read(text), Err(expected), "{text}");
        }
        assert_eq!(path(b"<\xff@b>"), Err(InvalidPath::NotUtf8));
        let long = format!("<{}@b>", "a".repeat(LONGEST));
        assert_eq!(path(long.as_bytes()), Err(InvalidPath::TooLong));
    }
}
