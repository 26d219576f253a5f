//! Replies to the client.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// Longest reply line in bytes, code and CRLF included (RFC 5321, 4.5.3.1.5).
const LONGEST: usize = 512;

/// Longest text that a reply keeps: more is never sent.
const LONGEST_TEXT: usize = LONGEST;

/// The reply for one recipient: one line with code, enhanced code (RFC 3463) and
/// text. Users read it in bounces.
///
/// The text may be anything, such as what another server said: a line break becomes a
/// space, other control characters `?`, and what exceeds a line of 512 bytes is cut
/// off. Characters that are not ASCII are kept for a message with SMTPUTF8
/// (RFC 6531, 3.7.4.2), and `?` otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<(u8, u16, u16)>,
    text: Cow<'static, str>,
}

/// A code that no recipient's reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error(
    "invalid reply {code} with {}.{}.{}: expected 2xx, 4xx or 5xx except 421, and an enhanced code of the same class with numbers below 1000",
    enhanced.0, enhanced.1, enhanced.2
)]
pub struct InvalidReply {
    /// The code.
    pub code: u16,
    /// The enhanced code.
    pub enhanced: (u8, u16, u16),
}

impl Reply {
    /// A reply with that code (2xx, 4xx or 5xx), enhanced code and text.
    ///
    /// # Errors
    ///
    /// The code is of another class than the enhanced code, or not one of these
    /// classes. 421 is not allowed: it announces that the connection is closed.
    pub fn new(
        code: u16,
        enhanced: (u8, u16, u16),
        text: impl Into<String>,
    ) -> Result<Self, InvalidReply> {
        let (class, subject, detail) = enhanced;
        let valid = matches!(code, 200..=299 | 400..=420 | 422..=599)
            && u16::from(class) == code / 100
            && subject < 1000
            && detail < 1000;
        if !valid {
            return Err(InvalidReply { code, enhanced });
        }
        let mut text: String = text.into();
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.shrink_to_fit();
        Ok(Self::fixed(code, enhanced, text))
    }

    /// `250 2.0.0`: the message was taken for this recipient.
    pub fn delivered(text: impl Into<String>) -> Self {
        Self::valid(250, (2, 0, 0), text)
    }

    /// `451 4.3.0`: the client is to try again for this recipient.
    pub fn deferred(text: impl Into<String>) -> Self {
        Self::valid(451, (4, 3, 0), text)
    }

    /// `550 5.0.0`: the client is to return the message of this recipient.
    pub fn rejected(text: impl Into<String>) -> Self {
        Self::valid(550, (5, 0, 0), text)
    }

    fn valid(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self::new(code, enhanced, text).unwrap_or_else(|_| Self::fixed(451, (4, 3, 0), ""))
    }

    /// A reply of the server itself.
    pub(crate) fn fixed(
        code: u16,
        enhanced: (u8, u16, u16),
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            enhanced: Some(enhanced),
            text: text.into(),
        }
    }

    /// A reply without enhanced code: the greeting, and 354.
    pub(crate) fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            enhanced: None,
            text: text.into(),
        }
    }

    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, without which no recipient's reply is.
    pub fn enhanced(&self) -> Option<(u8, u16, u16)> {
        self.enhanced
    }

    /// The text as it was given, at most 512 bytes of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends the line.
    pub(crate) fn encode(&self, utf8: bool, out: &mut Vec<u8>) {
        let end = out.len() + LONGEST - "\r\n".len();
        out.extend_from_slice(self.code.to_string().as_bytes());
        if let Some((class, subject, detail)) = self.enhanced {
            out.extend_from_slice(format!(" {class}.{subject}.{detail}").as_bytes());
        }
        out.push(b' ');
        let mut previous = ' ';
        for character in self.text.chars() {
            let character = match character {
                '\r' | '\n' | '\t' | ' ' if previous == ' ' => continue,
                '\r' | '\n' | '\t' => ' ',
                _ if character.is_control() || !(utf8 || character.is_ascii()) => '?',
                _ => character,
            };
            if out.len() + character.len_utf8() > end {
                break;
            }
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            previous = character;
        }
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Reply {
    /// The line as it is sent for a message with SMTPUTF8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.encode(true, &mut out);
        f.write_str(String::from_utf8_lossy(&out).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply, utf8: bool) -> String {
        let mut out = Vec::new();
        reply.encode(utf8, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn any_text_becomes_one_safe_line() {
        for (text, ascii, utf8) in [
            ("Ok", "250 2.0.0 Ok\r\n", "250 2.0.0 Ok\r\n"),
            ("", "250 2.0.0\r\n", "250 2.0.0\r\n"),
            (
                "a\r\n250 b",
                "250 2.0.0 a 250 b\r\n",
                "250 2.0.0 a 250 b\r\n",
            ),
            (
                "a\0\x1b[b\u{85}\t",
                "250 2.0.0 a??[b?\r\n",
                "250 2.0.0 a??[b?\r\n",
            ),
            ("für", "250 2.0.0 f?r\r\n", "250 2.0.0 für\r\n"),
        ] {
            let reply = Reply::delivered(text);
            assert_eq!(encoded(&reply, false), ascii);
            assert_eq!(encoded(&reply, true), utf8);
        }
    }

    #[test]
    fn a_line_has_at_most_512_bytes() {
        for text in ["x".repeat(10_000), "ü".repeat(300), "x".repeat(500)] {
            let reply = Reply::rejected(text);
            let line = encoded(&reply, true);
            assert!(line.len() <= 512 && line.len() > 500 && line.ends_with("\r\n"));
        }
    }

    #[test]
    fn codes_are_checked() {
        for (code, enhanced, valid) in [
            (250, (2, 1, 5), true),
            (452, (4, 2, 2), true),
            (599, (5, 999, 999), true),
            (250, (4, 0, 0), false),
            (354, (3, 0, 0), false),
            (421, (4, 3, 2), false),
            (600, (6, 0, 0), false),
            (150, (1, 0, 0), false),
            (550, (5, 1000, 0), false),
            (550, (5, 0, 1000), false),
        ] {
            let reply = Reply::new(code, enhanced, "");
            assert_eq!(reply.is_ok(), valid, "{code} {enhanced:?}");
        }
    }
}
