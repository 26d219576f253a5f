//! Quoted-printable and base64 (RFC 2045, section 6): encoding, decoding and insertion.
//!
//! Insertion changes as little of the encoded text as possible: quoted-printable gets the new octets between
//! two existing ones; base64 is encoded again from the last complete group of three octets before the first
//! insertion.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD};

use crate::work::{self, Progress};

/// Longest encoded line, without its line end (RFC 2045, sections 6.7 and 6.8).
const LINE: usize = 76;

/// Octets to insert, and their offset in the decoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Insert {
    pub(super) at: usize,
    pub(super) bytes: Vec<u8>,
}

/// Inserts octets. The insertions are sorted by offset.
pub(super) fn splice(text: &[u8], inserts: &[Insert]) -> Vec<u8> {
    let added: usize = inserts.iter().map(|insert| insert.bytes.len()).sum();
    work::spend(text.len() + added);
    let mut out = Vec::with_capacity(text.len() + added);
    let mut from = 0;
    for insert in inserts {
        out.extend_from_slice(&text[from..insert.at]);
        out.extend_from_slice(&insert.bytes);
        from = insert.at;
    }
    out.extend_from_slice(&text[from..]);
    out
}

/// One step through quoted-printable text.
struct Unit {
    start: usize,
    end: usize,
    /// The decoded octet. `None` for a soft line break, and for white space before a line end, which is not
    /// part of the text.
    octet: Option<u8>,
}

struct Units<'a> {
    text: &'a [u8],
    at: usize,
    /// End of the last run of white space that was measured. Either all of it is text or none, so each run is
    /// measured only once.
    blank_end: usize,
    progress: Progress,
}

impl<'a> Units<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            blank_end: 0,
            progress: Progress::over(text.len()),
        }
    }

    /// Length of white space up to and including a line end; `None` if something else comes first.
    fn to_line_end(rest: &[u8]) -> Option<usize> {
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        work::spend(blank);
        match &rest[blank..] {
            [] => Some(blank),
            [b'\r', b'\n', ..] => Some(blank + 2),
            [b'\n', ..] => Some(blank + 1),
            _ => None,
        }
    }
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        self.progress.at(start);
        let (length, octet) = match rest[0] {
            b'=' => {
                if let Some(end) = Units::to_line_end(&rest[1..]) {
                    (1 + end, None)
                } else {
                    match rest.get(1..3).and_then(hex_octet) {
                        Some(octet) => (3, Some(octet)),
                        // Malformed quoted-printable: passed through.
                        None => (1, Some(b'=')),
                    }
                }
            }
            byte @ (b' ' | b'\t') if start < self.blank_end => (1, Some(byte)),
            byte @ (b' ' | b'\t') => {
                let blank = rest
                    .iter()
                    .take_while(|byte| matches!(byte, b' ' | b'\t'))
                    .count();
                self.blank_end = start + blank;
                match &rest[blank..] {
                    [] | [b'\n', ..] | [b'\r', b'\n', ..] => (blank, None),
                    _ => (1, Some(byte)),
                }
            }
            byte => (1, Some(byte)),
        };
        self.at += length;
        Some(Unit {
            start,
            end: self.at,
            octet,
        })
    }
}

fn hex_octet(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(digits[0])? * 16 + digit(digits[1])?;
    u8::try_from(value).ok()
}

/// Decodes quoted-printable text. Malformed sequences are passed through.
pub(super) fn qp_decode(text: &[u8]) -> Vec<u8> {
    Units::new(text).filter_map(|unit| unit.octet).collect()
}

/// Encodes octets. With `binary`, line ends are encoded like other octets; otherwise CRLF and LF stay line
/// ends.
pub(super) fn qp_encode(octets: &[u8], binary: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 4);
    qp_write(&mut out, 0, octets, binary);
    out
}

/// Appends octets to encoded text whose last line has `column` characters. Returns the new column.
fn qp_write(out: &mut Vec<u8>, mut column: usize, octets: &[u8], binary: bool) -> usize {
    let mut at = 0;
    let mut progress = Progress::over(octets.len());
    while at < octets.len() {
        progress.at(at);
        let rest = &octets[at..];
        let line_end = match rest {
            [b'\r', b'\n', ..] if !binary => 2,
            [b'\n', ..] if !binary => 1,
            _ => 0,
        };
        if line_end > 0 {
            out.extend_from_slice(&rest[..line_end]);
            (column, at) = (0, at + line_end);
            continue;
        }
        let escaped = qp_must_escape(rest, column, binary);
        let width = if escaped { 3 } else { 1 };
        // One column is reserved for the soft line break.
        if column + width >= LINE {
            out.extend_from_slice(b"=\r\n");
            column = 0;
            continue;
        }
        if escaped {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let octet = rest[0];
            out.extend_from_slice(&[
                b'=',
                HEX[usize::from(octet >> 4)],
                HEX[usize::from(octet & 15)],
            ]);
        } else {
            out.push(rest[0]);
        }
        (column, at) = (column + width, at + 1);
    }
    column
}

fn qp_must_escape(rest: &[u8], column: usize, binary: bool) -> bool {
    match rest[0] {
        b' ' | b'\t' => binary || matches!(rest, [_] | [_, b'\n', ..] | [_, b'\r', b'\n', ..]),
        b'=' => true,
        // Could be a delimiter or end the message, or gets a `>` in a mailbox file.
        b'-' => column == 0 && matches!(rest, [_, b'-', ..]),
        b'.' => column == 0 && matches!(rest, [_] | [_, b'\r' | b'\n', ..]),
        b'F' => column == 0 && rest.starts_with(b"From "),
        byte => !(33..=126).contains(&byte),
    }
}

/// Inserts octets into quoted-printable text. The insertions are sorted by offset in the decoded text. The
/// encoding of the existing octets does not change.
///
/// `None` if the text is not valid quoted-printable (RFC 2045) and an insertion would change its lines.
pub(super) fn qp_splice(text: &[u8], inserts: &[Insert], binary: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 1024);
    let mut from = 0;
    let mut octets = 0;
    let mut units = Units::new(text).peekable();
    for insert in inserts {
        let mut at = from;
        while octets < insert.at {
            let unit = units.next()?;
            octets += usize::from(unit.octet.is_some());
            at = unit.end;
        }
        // After a soft line break rather than before it.
        while let Some(unit) =
            units.next_if(|unit| unit.octet.is_none() && text[unit.start] == b'=')
        {
            at = unit.end;
        }
        out.extend_from_slice(&text[from..at]);
        from = at;
        qp_insert(&mut out, &text[at..], &insert.bytes, binary)?;
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}

fn qp_insert(out: &mut Vec<u8>, rest: &[u8], octets: &[u8], binary: bool) -> Option<()> {
    if out.ends_with(b"=") && rest.is_empty() {
        // A soft line break at the very end, whose line end belongs to the delimiter.
        out.extend_from_slice(b"\r\n");
    }
    let breaks = octets.starts_with(b"\r\n") || octets.starts_with(b"\n");
    if breaks && matches!(out.last(), Some(b' ' | b'\t')) {
        // White space before a line end would be lost.
        out.extend_from_slice(b"=\r\n");
    }
    let line = memchr::memrchr(b'\n', out).map_or(0, |lf| lf + 1);
    work::spend(out.len() - line);
    let column = out.len() - line;
    let column = if breaks { 0 } else { column };
    if column > LINE {
        return None;
    }
    let column = if column + 1 >= LINE && column < LINE {
        out.extend_from_slice(b"=\r\n");
        0
    } else if column == LINE {
        return None;
    } else {
        column
    };
    let column = qp_write(out, column, octets, binary);
    if column > 0 && Units::to_line_end(rest).is_none() {
        out.extend_from_slice(b"=\r\n");
    }
    Some(())
}

/// Decodes base64 text with any line lengths. `None` if it contains an invalid character, or the padding is
/// not at the end.
pub(super) fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    work::spend(text.len());
    let symbols: Cow<'_, [u8]> = text
        .iter()
        .copied()
        .filter(|byte| !is_blank(*byte))
        .collect();
    let unpadded = symbols.len()
        - symbols
            .iter()
            .rev()
            .take_while(|&&byte| byte == b'=')
            .count();
    if symbols.len() - unpadded > 2 {
        return None;
    }
    BASE64_NOPAD.decode(&symbols[..unpadded]).ok()
}

/// Encodes octets in lines of 76, the last one without a line end.
pub(super) fn base64_encode(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 3 * 4 + octets.len() / 40 + 8);
    base64_write(&mut out, 0, octets, b"\r\n");
    out
}

/// Writes base64 text in lines of 76 columns, its octets unchanged.
pub(super) fn base64_rewrap(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 38 + 2);
    let mut column = 0;
    work::spend(text.len());
    for byte in text.iter().filter(|byte| !is_blank(**byte)) {
        if column == LINE {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(*byte);
        column += 1;
    }
    if text.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Inserts octets into base64 text. The insertions are sorted by offset in the decoded text; `decoded` is the
/// decoded `text`.
pub(super) fn base64_splice(text: &[u8], decoded: &[u8], inserts: &[Insert]) -> Vec<u8> {
    let Some(first) = inserts.first() else {
        return text.to_vec();
    };
    work::spend(text.len());
    let reused = first.at / 3 * 3;
    let end = nth_symbol(text, reused / 3 * 4);
    let tail: Vec<Insert> = inserts
        .iter()
        .map(|insert| Insert {
            at: insert.at - reused,
            bytes: insert.bytes.clone(),
        })
        .collect();
    let line_end: &[u8] = match memchr::memchr(b'\n', text) {
        Some(lf) if lf == 0 || text[lf - 1] != b'\r' => b"\n",
        _ => b"\r\n",
    };
    let mut out = text[..end].to_vec();
    let column = end - memchr::memrchr(b'\n', &out).map_or(0, |lf| lf + 1);
    base64_write(
        &mut out,
        column,
        &splice(&decoded[reused..], &tail),
        line_end,
    );
    let last = text
        .iter()
        .rposition(|byte| !is_blank(*byte))
        .map_or(0, |last| last + 1);
    out.extend_from_slice(&text[last..]);
    out
}

/// Offset after the first `count` symbols.
fn nth_symbol(text: &[u8], count: usize) -> usize {
    if count == 0 {
        return 0;
    }
    let symbols = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| !is_blank(**byte));
    symbols
        .map(|(at, _)| at + 1)
        .nth(count - 1)
        .unwrap_or(text.len())
}

fn base64_write(out: &mut Vec<u8>, mut column: usize, octets: &[u8], line_end: &[u8]) {
    work::spend(octets.len());
    let encoded = BASE64.encode(octets);
    let mut rest = encoded.as_bytes();
    while !rest.is_empty() {
        let room = LINE.saturating_sub(column);
        if room == 0 {
            out.extend_from_slice(line_end);
            column = 0;
            continue;
        }
        let (line, after) = rest.split_at(room.min(rest.len()));
        out.extend_from_slice(line);
        column += line.len();
        rest = after;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(at: usize, bytes: &[u8]) -> Vec<Insert> {
        vec![Insert {
            at,
            bytes: bytes.to_vec(),
        }]
    }

    #[test]
    fn quoted_printable_lines_stay_within_76_columns_and_decode_to_the_octets() {
        let octets: Vec<u8> = (0..=255u8)
            .cycle()
            .take(2000)
            .filter(|byte| !b"\r\n".contains(byte))
            .collect();
        for binary in [false, true] {
            let encoded = qp_encode(&octets, binary);
            assert!(
                encoded
                    .split(|&byte| byte == b'\n')
                    .all(|line| line.len() <= LINE + 1)
            );
            assert_eq!(qp_decode(&encoded), octets);
        }
        assert_eq!(
            qp_encode(b"a \r\nFrom b\r\n--c\r\n.\r\n\tx", false),
            b"a=20\r\n=46rom b\r\n=2D-c\r\n=2E\r\n\tx"
        );
    }

    #[test]
    fn h1_blanks_are_text_except_before_a_line_end_and_are_measured_once() {
        for (text, expected) in [
            ("a \t b", "a \t b"),
            ("a \t \r\n b \n\tc\t", "a\r\n b\n\tc"),
            ("=  x = \r\ny=\t", "=  x y"),
            (" \rx", " \rx"),
        ] {
            assert_eq!(qp_decode(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
        let steps = |blanks: usize| {
            let text = [vec![b' '; blanks], b"x".to_vec()].concat();
            let (decoded, steps) = work::count(|| qp_decode(&text));
            assert_eq!(decoded, text);
            steps
        };
        assert_eq!(steps(20_000), 20_001);
    }

    #[test]
    fn a_quoted_printable_splice_does_not_change_the_existing_lines() {
        for (text, at, new, expected) in [
            (
                &b"caf=E9 ok\r\n"[..],
                9,
                &b"\xE9\r\n"[..],
                &b"caf=E9 ok\r\n=E9\r\n"[..],
            ),
            (b"a=\r\nb\r\n", 1, b"X", b"a=\r\nX=\r\nb\r\n"),
            (b"end=", 3, b"X", b"end=\r\nX"),
            (b"trail  \r\nz", 5, b"X", b"trailX  \r\nz"),
            (b"x", 0, b"one\r\n", b"one\r\nx"),
        ] {
            let made = qp_splice(text, &insert(at, new), false).expect("splice");
            assert_eq!(
                String::from_utf8_lossy(&made),
                String::from_utf8_lossy(expected)
            );
        }
    }

    #[test]
    fn a_base64_splice_keeps_the_groups_before_it() {
        let octets: Vec<u8> = (0..200u8).collect();
        let mut text = base64_encode(&octets);
        text.extend_from_slice(b"\r\n");
        for at in [0, 1, 57, 100, 199, 200] {
            let made = base64_splice(&text, &octets, &insert(at, b"disclaimer"));
            let mut expected = octets.clone();
            expected.splice(at..at, *b"disclaimer");
            assert_eq!(base64_decode(&made), Some(expected));
            assert!(
                made.split(|&byte| byte == b'\n')
                    .all(|line| line.len() <= LINE + 1)
            );
            let same = made.iter().zip(&text).take_while(|(a, b)| a == b).count();
            assert!(same >= at / 3 * 4, "{at}: {same}");
            assert!(made.ends_with(b"\r\n") && !made.ends_with(b"\r\n\r\n"));
        }
    }

    #[test]
    fn invalid_base64_is_not_decoded() {
        assert_eq!(base64_decode(b"QUJD\r\nRA==\r\n"), Some(b"ABCD".to_vec()));
        assert_eq!(base64_decode(b"QUJDRA"), Some(b"ABCD".to_vec()));
        assert_eq!(base64_decode(b"QU=JD"), None);
        assert_eq!(base64_decode(b"QU*JD"), None);
    }
}
