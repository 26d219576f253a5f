//! Preparation of a message for transport before it is signed.
//!
//! A change by a later hop would break the signature: lines over 998 bytes are split, 8-bit text is encoded for a
//! hop without 8BITMIME, lone CR and LF are converted to CRLF. These changes are therefore made here, and only where
//! they are necessary. Signed and encrypted parts and attached messages are not changed; what could not be
//! prepared is reported as a [`Warning`].

use std::ops::Range;

use thiserror::Error;

use crate::message::{Content, Part, Structure, TransferEncoding, is_encrypted, is_signed};

use super::header::HeaderPlan;
use super::insert::replace_ranges;
use super::{HeaderEdit, codec, parameter};
use crate::work;

/// Longest line without its line end (RFC 5321, section 4.5.3.1.6).
const LONGEST_LINE: usize = 998;

/// Requirements of the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// The next hop may lack 8BITMIME: bodies must be ASCII.
    pub seven_bit: bool,
    /// The message will be signed: lone CR and LF are converted to CRLF.
    pub signed: bool,
}

/// The edits that prepare a message, and warnings about the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The whole new body, if it changes.
    pub body: Option<Vec<u8>>,
    /// Changes of the message's header that belong to the new body.
    pub headers: Vec<HeaderEdit>,
    /// What was normalized, and what a later hop may still change.
    pub warnings: Vec<Warning>,
}

/// A problem with the transport of a message. A part is identified by its index in the structure; 0 is the message
/// itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Warning {
    /// Lone CR or LF were converted to CRLF.
    #[error("{count} lone CR or LF were converted to CRLF")]
    LineEnds {
        /// Their number.
        count: usize,
    },
    /// A line over 998 bytes that must not be changed.
    #[error("part {part} ({media_type}) has lines over 998 bytes, which a later hop will split")]
    LongLines {
        /// Index of the part.
        part: usize,
        /// Its media type.
        media_type: String,
    },
    /// 8-bit octets that must not be encoded.
    #[error("part {part} ({media_type}) is not ASCII, and the next hop may reject or encode it")]
    EightBit {
        /// Index of the part.
        part: usize,
        /// Its media type.
        media_type: String,
    },
}

/// Whether a body needs no preparation: a fast check for nearly all mail, in one pass.
pub fn is_safe(body: &[u8], transport: Transport) -> bool {
    let _stage = work::stage("encoding for transport");
    work::spend(body.len());
    !(transport.seven_bit && !body.is_ascii())
        && !has_long_line(body)
        && !(transport.signed && count_lone(body) > 0)
}

/// Prepares a message for transport.
pub fn prepare(content: &Content, transport: Transport) -> Prepared {
    let _stage = work::stage("encoding for transport");
    let relabel = transport.seven_bit && labels_eight_bit(content.structure());
    if !relabel && is_safe(content.body(), transport) {
        return Prepared::default();
    }
    let lone = if transport.signed {
        count_lone(content.body())
    } else {
        0
    };
    let mut prepared = if lone == 0 {
        encode_parts(content, transport)
    } else {
        let body = normalize_line_ends(content.body());
        let header = content.bytes()[..content.body_offset()].to_vec();
        let normal = Content::new([header, body.clone()].concat());
        let mut prepared = encode_parts(&normal, transport);
        prepared.body.get_or_insert(body);
        prepared
    };
    if prepared.warnings.is_empty() {
        warn_about_the_rest(content, transport, &mut prepared);
    }
    if lone > 0 {
        let line_ends = Warning::LineEnds { count: lone };
        prepared.warnings.insert(0, line_ends);
    }
    prepared
}

/// Warns about preambles, epilogues and headers of parts, which are not edited. The warning names part 0.
fn warn_about_the_rest(content: &Content, transport: Transport, prepared: &mut Prepared) {
    let body = prepared.body.as_deref().unwrap_or(content.body());
    if is_safe(body, transport) {
        return;
    }
    let media_type = content.structure().root().media().essence();
    if has_long_line(body) {
        prepared.warnings.push(Warning::LongLines {
            part: 0,
            media_type: media_type.to_owned(),
        });
    }
    if transport.seven_bit && !body.is_ascii() {
        prepared.warnings.push(Warning::EightBit {
            part: 0,
            media_type: media_type.to_owned(),
        });
    }
}

fn has_long_line(body: &[u8]) -> bool {
    let mut rest = body;
    while rest.len() > LONGEST_LINE {
        let window = &rest[..rest.len().min(LONGEST_LINE + 2)];
        // The last line end of the window is the furthest safe position.
        match memchr::memrchr(b'\n', window) {
            Some(lf) => rest = &rest[lf + 1..],
            None => {
                let end = if window.len() > LONGEST_LINE + 1 {
                    LONGEST_LINE + 1
                } else {
                    window.len()
                };
                return end > LONGEST_LINE;
            }
        }
    }
    false
}

fn count_lone(body: &[u8]) -> usize {
    work::spend(body.len());
    let lone = |at: &usize| match body[*at] {
        b'\r' => body.get(at + 1) != Some(&b'\n'),
        _ => *at == 0 || body[at - 1] != b'\r',
    };
    memchr::memchr2_iter(b'\r', b'\n', body)
        .filter(lone)
        .count()
}

fn normalize_line_ends(body: &[u8]) -> Vec<u8> {
    work::spend(body.len());
    let mut out = Vec::with_capacity(body.len() + body.len() / 32);
    let mut from = 0;
    for at in memchr::memchr2_iter(b'\r', b'\n', body) {
        if at < from {
            continue;
        }
        out.extend_from_slice(&body[from..at]);
        out.extend_from_slice(b"\r\n");
        from = at
            + if body[at..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
    }
    out.extend_from_slice(&body[from..]);
    out
}

fn labels_eight_bit(structure: &Structure) -> bool {
    work::spend(structure.parts().len());
    structure
        .parts()
        .iter()
        .any(|part| is_eight_bit(part.encoding()))
}

fn is_eight_bit(encoding: TransferEncoding) -> bool {
    matches!(
        encoding,
        TransferEncoding::EightBit | TransferEncoding::Binary
    )
}

/// Which parts only their author may change: signed, encrypted and attached ones, and their descendants.
fn protected_parts(structure: &Structure) -> Vec<bool> {
    let closed =
        |part: &Part| is_signed(part) || is_encrypted(part) || part.media().kind() == "message";
    let mut protected: Vec<bool> = Vec::with_capacity(structure.parts().len());
    for part in structure.parts() {
        let above = part.parent().is_some_and(|parent| protected[parent]);
        protected.push(above || closed(part));
    }
    protected
}

fn encode_parts(content: &Content, transport: Transport) -> Prepared {
    let structure = content.structure();
    let body = content.body();
    let mut prepared = Prepared::default();
    let mut plan = HeaderPlan::new(content);
    let mut splices: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
    let protected = protected_parts(structure);
    let mut left_eight_bit = vec![false; structure.parts().len()];
    // Children before parents, so that a multipart gets the encoding that its parts require.
    for (index, part) in structure.parts().iter().enumerate().rev() {
        let (text, new_encoding) = match plan_part_edit(
            content,
            (index, protected[index]),
            transport,
            &mut prepared.warnings,
        ) {
            PartEdit::None => (None, None),
            PartEdit::UnsafeEightBit => {
                left_eight_bit[index] = true;
                (None, None)
            }
            PartEdit::Relabel if left_eight_bit[index] => (None, None),
            PartEdit::Relabel => (None, Some(TransferEncoding::SevenBit)),
            PartEdit::Reencode(text, encoding) => (Some(text), encoding),
        };
        if let (true, Some(parent)) = (left_eight_bit[index], part.parent()) {
            left_eight_bit[parent] = true;
        }
        if let Some(text) = text {
            splices.push((part.body(), text));
        }
        match new_encoding {
            Some(encoding) if index == 0 => {
                plan.set(
                    "Content-Transfer-Encoding",
                    format!(" {}", encoding.as_str()).into_bytes(),
                );
            }
            Some(encoding) => {
                let header = parameter::relabel(&body[part.header()], None, Some(encoding));
                splices.extend(header.map(|header| (part.header(), header)));
            }
            None => {}
        }
    }
    prepared.warnings.reverse();
    if !splices.is_empty() {
        prepared.body = Some(replace_ranges(body, splices));
        plan.remove_all("Content-Length");
        plan.remove_all("Content-MD5");
    }
    prepared.headers = plan.into_edits();
    prepared
}

enum PartEdit {
    None,
    /// It stays 8-bit although that is not safe.
    UnsafeEightBit,
    /// Its label permits 8-bit octets that it does not contain.
    Relabel,
    Reencode(Vec<u8>, Option<TransferEncoding>),
}

fn plan_part_edit(
    content: &Content,
    (index, protected): (usize, bool),
    transport: Transport,
    warnings: &mut Vec<Warning>,
) -> PartEdit {
    let structure = content.structure();
    let part = &structure.parts()[index];
    work::spend(1);
    if !part.children().is_empty() {
        let relabel = transport.seven_bit && !protected && is_eight_bit(part.encoding());
        return if relabel {
            PartEdit::Relabel
        } else {
            PartEdit::None
        };
    }
    let text = &content.body()[part.body()];
    work::spend(text.len());
    let long = has_long_line(text);
    let eight_bit = transport.seven_bit && !text.is_ascii();
    if !long && !eight_bit {
        let relabel = transport.seven_bit && !protected && is_eight_bit(part.encoding());
        return if relabel {
            PartEdit::Relabel
        } else {
            PartEdit::None
        };
    }
    let ambiguous = !structure.ambiguities().is_empty();
    let editable = !protected && !ambiguous;
    match part.encoding() {
        encoding if encoding.is_identity() && editable && part.media().kind() == "text" => {
            PartEdit::Reencode(
                codec::qp_encode(text, false),
                Some(TransferEncoding::QuotedPrintable),
            )
        }
        TransferEncoding::Base64 if editable && text.is_ascii() => {
            PartEdit::Reencode(codec::base64_rewrap(text), None)
        }
        TransferEncoding::QuotedPrintable if editable => {
            PartEdit::Reencode(codec::qp_encode(&codec::qp_decode(text), false), None)
        }
        _ => {
            let media_type = part.media().essence().to_owned();
            if long {
                warnings.push(Warning::LongLines {
                    part: index,
                    media_type: media_type.clone(),
                });
            }
            if eight_bit {
                warnings.push(Warning::EightBit {
                    part: index,
                    media_type,
                });
            }
            if eight_bit || is_eight_bit(part.encoding()) {
                PartEdit::UnsafeEightBit
            } else {
                PartEdit::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Edits;

    const SEVEN_BIT: Transport = Transport {
        seven_bit: true,
        signed: false,
    };

    fn prepared(message: &str, transport: Transport) -> (String, Vec<Warning>) {
        let content = Content::new(message.replace('\n', "\r\n").into_bytes());
        let made = prepare(&content, transport);
        let edits = Edits {
            headers: made.headers,
            body: made.body,
            ..Edits::default()
        };
        let after = String::from_utf8(edits.apply(&content)).expect("UTF-8");
        (after.replace("\r\n", "\n"), made.warnings)
    }

    #[test]
    fn safe_messages_are_unchanged() {
        for message in ["A: b\n\nHi\n", "A: b\n\n"] {
            assert_eq!(
                prepared(
                    message,
                    Transport {
                        seven_bit: true,
                        signed: true
                    }
                ),
                (message.to_owned(), vec![])
            );
        }
        assert!(is_safe("x".repeat(998).as_bytes(), Transport::default()));
        assert!(!is_safe("x".repeat(999).as_bytes(), Transport::default()));
        assert!(is_safe(
            format!("{}\r\n{}\r\n", "x".repeat(998), "y".repeat(998)).as_bytes(),
            Transport::default()
        ));
    }

    #[test]
    fn long_lines_of_text_become_quoted_printable() {
        let long = "word ".repeat(300) + "end";
        let (after, warnings) = prepared(
            &format!("Content-Type: text/plain\n\n{long}\n"),
            Transport::default(),
        );
        assert!(
            after.contains("\nContent-Transfer-Encoding: quoted-printable\n"),
            "{after}"
        );
        assert!(after.lines().all(|line| line.len() <= 76));
        assert_eq!(warnings, []);
        let body = after.split_once("\n\n").expect("body").1;
        assert_eq!(
            codec::qp_decode(body.as_bytes()),
            format!("{long}\n").into_bytes()
        );
    }

    #[test]
    fn eight_bit_text_is_encoded_and_labels_follow() {
        let message = "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\né\n--b\nContent-Transfer-Encoding: 8bit\n\nascii\n--b--\n";
        let (after, warnings) = prepared(message, SEVEN_BIT);
        assert_eq!(
            after,
            message
                .replacen("8bit", "7bit", 1)
                .replacen("8bit", "quoted-printable", 1)
                .replacen("8bit", "7bit", 1)
                .replace('é', "=C3=A9")
        );
        assert_eq!(warnings, []);
    }

    #[test]
    fn signed_parts_are_reported_and_unchanged() {
        let message = "Content-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\né\n--b\n\nsig\n--b--\n";
        let (after, warnings) = prepared(message, SEVEN_BIT);
        assert_eq!(after, message);
        assert_eq!(
            warnings,
            [Warning::EightBit {
                part: 1,
                media_type: "text/plain".into()
            }]
        );
    }

    #[test]
    fn l15_unsafe_bytes_between_parts_give_a_warning() {
        let long = "x".repeat(1200);
        for (message, eight_bit) in [
            (
                "Content-Type: multipart/mixed; boundary=b\n\né\n--b\n\nx\n--b--\n".to_owned(),
                true,
            ),
            (
                format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n{long}\n"),
                false,
            ),
            (
                format!(
                    "Content-Type: multipart/mixed; boundary=b\n\n--b\nA: {long}\n\nx\n--b--\n"
                ),
                false,
            ),
        ] {
            let (after, warnings) = prepared(&message, SEVEN_BIT);
            assert_eq!(after, message);
            let media_type = "multipart/mixed".to_owned();
            let expected = if eight_bit {
                Warning::EightBit {
                    part: 0,
                    media_type,
                }
            } else {
                Warning::LongLines {
                    part: 0,
                    media_type,
                }
            };
            assert_eq!(warnings, [expected]);
        }
    }

    #[test]
    fn lone_line_ends_are_normalized_only_for_signing() {
        let content = Content::new(b"A: b\r\n\r\none\ntwo\rthree\r\n".to_vec());
        assert_eq!(prepare(&content, Transport::default()), Prepared::default());
        let made = prepare(
            &content,
            Transport {
                seven_bit: false,
                signed: true,
            },
        );
        assert_eq!(made.body.as_deref(), Some(&b"one\r\ntwo\r\nthree\r\n"[..]));
        assert_eq!(made.warnings, [Warning::LineEnds { count: 2 }]);
    }
}
