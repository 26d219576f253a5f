//! Removal of existing signatures before Waxseal's own are verified.
//!
//! The verifier checks every `DKIM-Signature` of a message, and each may list very many names. Waxseal's signatures never cover
//! such fields, so that existing ones only cost time: without them, what a sender wrote there costs nothing.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use waxseal_core::work;

/// Fields in which the verifier searches signatures.
const SIGNATURES: [&[u8]; 3] = [b"dkim-signature", b"dkim2-signature", b"message-instance"];

/// The message without signature fields; the message itself if it has none. All other bytes are unchanged.
pub(super) fn without_signatures(message: &[u8]) -> Cow<'_, [u8]> {
    let mut remaining = Vec::new();
    let mut from = 0;
    for field in Fields::of(message).filter(|field| is_signature(&message[field.name.clone()])) {
        if remaining.capacity() == 0 {
            remaining.reserve(message.len());
        }
        remaining.extend_from_slice(&message[from..field.name.start]);
        from = field.end;
    }
    if from == 0 {
        return Cow::Borrowed(message);
    }
    remaining.extend_from_slice(&message[from..]);
    Cow::Owned(remaining)
}

/// White space does not count: names may be folded before their colon.
fn is_signature(name: &[u8]) -> bool {
    let bare = || name.iter().filter(|byte| !byte.is_ascii_whitespace());
    let is = |known: &&[u8]| bare().map(u8::to_ascii_lowercase).eq(known.iter().copied());
    SIGNATURES.iter().any(is)
}

struct Field {
    name: Range<usize>,
    end: usize,
}

/// The fields of a header as the verifier splits it, which may differ from other parsers: it continues after a line without a
/// colon if that ends in LF only.
struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    fn is_folded(&self, next: usize) -> bool {
        matches!(self.message.get(next), Some(b' ' | b'\t'))
    }

    /// Offset of the colon of the field that begins at `start`.
    fn colon(&mut self, mut start: usize) -> Option<(usize, usize)> {
        let mut line = start;
        loop {
            let found = line + memchr2(b':', b'\n', &self.message[line..])?;
            if self.message[found] == b':' {
                return Some((start, found));
            }
            let ends = found == start || self.message[..found].ends_with(b"\r");
            if ends {
                return None;
            }
            line = found + 1;
            if !self.is_folded(line) {
                start = line;
            }
        }
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let (start, colon) = self.colon(self.at)?;
        let mut end = colon;
        loop {
            end += memchr(b'\n', &self.message[end..])? + 1;
            if !self.is_folded(end) {
                break;
            }
        }
        work::spend(end - self.at);
        self.at = end;
        Some(Field {
            name: start..colon,
            end,
        })
    }
}

#[cfg(test)]
mod tests {
    use mail_auth::AuthenticatedMessage;

    use super::*;

    #[test]
    fn m4_signatures_that_came_with_a_message_are_taken_out_and_nothing_else() {
        for (message, expected) in [
            ("A: 1\r\n\r\nDKIM-Signature: body\r\n", None),
            ("X-DKIM-Signature: 1\r\nDKIM-Signatures: 2\r\n\r\n", None),
            ("no field\r\nDKIM-Signature: 1\r\n\r\n", None),
            ("DKIM-Signature: without an end", None),
            (
                "A: 1\r\ndkim-signature : v=1;\r\n\tb=x\r\nB: 2\r\n\r\nx",
                Some("A: 1\r\nB: 2\r\n\r\nx"),
            ),
            (
                "DKIM-Signature:1\nodd\nDKIM2-Signature: 2\nC\n :\nMessage-Instance: 3\n\nx",
                Some("odd\nC\n :\n\nx"),
            ),
            ("DKIM-\r\n Signature: 1\r\n\r\n", None),
            ("DKIM-\n Signature: 1\n\n", Some("\n")),
        ] {
            let made = without_signatures(message.as_bytes());
            let made = std::str::from_utf8(&made).expect("ASCII");
            assert_eq!(made, expected.unwrap_or(message));
            // The verifier finds no signature in the result, and the same body.
            let body = |message: &'_ str| {
                let parsed = AuthenticatedMessage::parse(message.as_bytes())?;
                Some(parsed.raw_body().to_vec())
            };
            if expected.is_some() && body(made).is_some() {
                assert_eq!(body(made), body(message), "{message:?}");
            }
        }
    }
}
