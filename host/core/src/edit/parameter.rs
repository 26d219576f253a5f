//! In-place editing of a part's labels: `charset` in Content-Type, and Content-Transfer-Encoding. All other
//! bytes of the header stay unchanged: order, folds, comments and quotes.

use std::ops::Range;

use crate::message::{TransferEncoding, map_fields};
use crate::work;

/// A part's header with another charset and encoding, and without digests and lengths that become invalid.
/// `None` if the charset cannot be replaced in place.
pub(super) fn relabel(
    header: &[u8],
    charset: Option<&str>,
    encoding: Option<TransferEncoding>,
) -> Option<Vec<u8>> {
    let (fields, end) = map_fields(header);
    let mut out = Vec::with_capacity(header.len() + 96);
    let (mut charset, mut encoding) = (charset, encoding);
    for field in &fields {
        let is = |name: &str| header[field.name()].eq_ignore_ascii_case(name.as_bytes());
        if is("Content-MD5") || is("Content-Length") {
            continue;
        }
        let value = if is("Content-Type") && charset.is_some() {
            with_charset(&header[field.value()], charset.take()?)?
        } else if is("Content-Transfer-Encoding") && encoding.is_some() {
            format!(" {}", encoding.take()?.as_str()).into_bytes()
        } else {
            header[field.value()].to_vec()
        };
        out.extend_from_slice(&header[field.whole().start..field.value().start]);
        out.extend_from_slice(&value);
        out.extend_from_slice(&header[field.value().end..field.whole().end]);
    }
    if let Some(charset) = charset {
        out.extend_from_slice(
            format!("Content-Type: text/plain; charset={charset}\r\n").as_bytes(),
        );
    }
    if let Some(encoding) = encoding {
        out.extend_from_slice(
            format!("Content-Transfer-Encoding: {}\r\n", encoding.as_str()).as_bytes(),
        );
    }
    let separator = fields.last().map_or(0, |field| field.whole().end);
    out.extend_from_slice(&header[separator..end.min(header.len())]);
    Some(out)
}

/// The value with `charset` set. `None` if the parameter cannot be replaced in place (RFC 2231 continuations).
pub(super) fn with_charset(value: &[u8], charset: &str) -> Option<Vec<u8>> {
    work::spend(value.len());
    let parameters = parameters(value);
    let named = |range: &Range<usize>| value[range.clone()].trim_ascii();
    if parameters
        .iter()
        .any(|(name, _)| named(name).to_ascii_lowercase().starts_with(b"charset*"))
    {
        return None;
    }
    let found = parameters
        .iter()
        .find(|(name, _)| named(name).eq_ignore_ascii_case(b"charset"));
    let (range, text) = match found {
        Some((_, old)) => (old.clone(), charset.to_owned()),
        None => {
            // After the media type, where no trailing comment can hide it.
            let end = type_end(value);
            (end..end, format!("; charset={charset}"))
        }
    };
    Some([&value[..range.start], text.as_bytes(), &value[range.end..]].concat())
}

/// End of `type/subtype`.
fn type_end(value: &[u8]) -> usize {
    let start = value
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .unwrap_or(value.len());
    let length = value[start..]
        .iter()
        .position(|byte| matches!(byte, b';' | b'(' | b' ' | b'\t' | b'\r' | b'\n'));
    length.map_or(value.len(), |length| start + length)
}

/// Ranges of names and values of all parameters; a quoted value includes its quotes.
fn parameters(value: &[u8]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = skip_to(value, 0, b';');
    while at < value.len() {
        let name = skip_blank(value, at + 1);
        let equals = skip_to_any(value, name, b"=;");
        if value.get(equals) != Some(&b'=') {
            at = equals;
            continue;
        }
        let start = skip_blank(value, equals + 1);
        let end = match value.get(start) {
            Some(b'"') => quoted_end(value, start),
            _ => {
                let stop = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b';' | b'(');
                value[start..]
                    .iter()
                    .position(stop)
                    .map_or(value.len(), |length| start + length)
            }
        };
        found.push((name..equals, start..end));
        at = skip_to(value, end, b';');
    }
    found
}

fn skip_to(value: &[u8], at: usize, byte: u8) -> usize {
    skip_to_any(value, at, &[byte])
}

/// Offset of the first of some bytes outside of comments and quoted strings.
fn skip_to_any(value: &[u8], mut at: usize, bytes: &[u8]) -> usize {
    while at < value.len() && !bytes.contains(&value[at]) {
        at = match value[at] {
            b'(' => comment_end(value, at),
            b'"' => quoted_end(value, at),
            _ => at + 1,
        };
    }
    at
}

fn skip_blank(value: &[u8], mut at: usize) -> usize {
    while let Some(byte) = value.get(at) {
        at = match byte {
            b'(' => comment_end(value, at),
            byte if byte.is_ascii_whitespace() => at + 1,
            _ => break,
        };
    }
    at.min(value.len())
}

fn comment_end(value: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < value.len() {
        match value[at] {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(value.len())
}

fn quoted_end(value: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < value.len() && value[at] != b'"' {
        at += if value[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_charset_changes() {
        for (value, expected) in [
            (
                " text/plain; charset=us-ascii; format=flowed",
                " text/plain; charset=utf-8; format=flowed",
            ),
            (
                " text/plain;\r\n\tCharset=\"iso-8859-1\" (x)",
                " text/plain;\r\n\tCharset=utf-8 (x)",
            ),
            (" text/plain", " text/plain; charset=utf-8"),
            (
                " text/plain (a; charset=b); name=\"; charset=c\"",
                " text/plain; charset=utf-8 (a; charset=b); name=\"; charset=c\"",
            ),
            (
                " text/plain; x; charset = a",
                " text/plain; x; charset = utf-8",
            ),
        ] {
            let made = with_charset(value.as_bytes(), "utf-8").expect(value);
            assert_eq!(String::from_utf8_lossy(&made), expected);
        }
        assert_eq!(
            with_charset(b" text/plain; charset*=us-ascii''utf-8", "utf-8"),
            None
        );
        for odd in [
            "",
            ";",
            "text/plain; a=\"\\",
            "text/plain (",
            "x;;;=;charset=",
        ] {
            assert!(with_charset(odd.as_bytes(), "utf-8").is_some());
        }
    }
}
