//! Character sets of text parts: decoding, encoding, and positions of ASCII characters.
//!
//! Labels follow the WHATWG table (`encoding_rs`), with exceptions for mail: `us-ascii` is ASCII and not
//! windows-1252, and text is only *encoded* into the set that the label names, never into the superset that decoders
//! accept. An unknown label is an error; nothing is guessed.

use std::borrow::Cow;

use encoding_rs::Encoding;

use crate::work;

/// A character set for decoding and encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// US-ASCII: declared, or by default (RFC 2045, section 5.2).
    Ascii,
    /// UTF-8.
    Utf8,
    /// UTF-16.
    Utf16 {
        /// Most significant byte first.
        big_endian: bool,
        /// Whether the text begins with a byte order mark.
        mark: bool,
    },
    /// One of the sets of the WHATWG table.
    Legacy {
        /// The encoder and decoder.
        encoding: &'static Encoding,
        /// How the label is narrower than the encoder.
        narrow: Narrow,
    },
}

/// How a label is narrower than the encoding that the WHATWG table gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// It is not narrower.
    No,
    /// Bytes 0x80 to 0x9F are control characters (ISO 8859, decoded as windows-125x).
    NoC1,
    /// Both bytes of a pair are 0xA1 or more (GB 2312, KS X 1001, decoded as GBK and windows-949).
    HighPairs,
}

impl Charset {
    /// The set that a `charset` parameter names; US-ASCII without a parameter. The text is used only to detect a byte
    /// order mark.
    ///
    /// `None` for an unknown label, or one that does not define the byte order.
    pub fn for_label(label: Option<&str>, text: &[u8]) -> Option<Self> {
        let Some(label) = label else {
            return Some(Self::Ascii);
        };
        let label = label.trim().to_ascii_lowercase();
        let utf16 = |big_endian, mark| Some(Self::Utf16 { big_endian, mark });
        let legacy = |encoding, narrow| Some(Self::Legacy { encoding, narrow });
        match label.as_str() {
            "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso646-us" => return Some(Self::Ascii),
            "utf-8" | "utf8" => return Some(Self::Utf8),
            "utf-16" | "utf16" => {
                return match text.get(..2) {
                    Some([0xFE, 0xFF]) => utf16(true, true),
                    Some([0xFF, 0xFE]) => utf16(false, true),
                    // RFC 2781 says big-endian, senders mean little-endian.
                    _ => None,
                };
            }
            "utf-16be" => return utf16(true, text.starts_with(&[0xFE, 0xFF])),
            "utf-16le" => return utf16(false, text.starts_with(&[0xFF, 0xFE])),
            "gb2312" | "gb_2312-80" | "csgb2312" | "euc-cn" => {
                return legacy(encoding_rs::GBK, Narrow::HighPairs);
            }
            "euc-kr" | "ks_c_5601-1987" | "ks_c_5601" | "csksc56011987" => {
                return legacy(encoding_rs::EUC_KR, Narrow::HighPairs);
            }
            _ => {}
        }
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        if encoding == encoding_rs::UTF_8 {
            return Some(Self::Utf8);
        }
        if encoding.output_encoding() != encoding || encoding == encoding_rs::X_USER_DEFINED {
            return None;
        }
        let iso = [
            "iso-8859", "iso8859", "iso_8859", "latin", "l1", "l5", "tis-620",
        ];
        let narrow = if iso.iter().any(|prefix| label.starts_with(prefix)) {
            Narrow::NoC1
        } else {
            Narrow::No
        };
        legacy(encoding, narrow)
    }

    /// The text, or `None` if the bytes are invalid.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        work::spend(bytes.len());
        match *self {
            Self::Ascii => bytes.is_ascii().then(|| String::from_utf8_lossy(bytes)),
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Utf16 { .. } => {
                let (text, damaged) = self
                    .utf16()
                    .decode_without_bom_handling(self.without_mark(bytes));
                (!damaged && bytes.len().is_multiple_of(2)).then_some(text)
            }
            Self::Legacy { encoding, .. } => {
                encoding.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    /// The text, with U+FFFD for invalid bytes.
    pub fn decode_lossy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        work::spend(bytes.len());
        match *self {
            Self::Ascii | Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Utf16 { .. } => {
                self.utf16()
                    .decode_without_bom_handling(self.without_mark(bytes))
                    .0
            }
            Self::Legacy { encoding, .. } => encoding.decode_without_bom_handling(bytes).0,
        }
    }

    /// The bytes of a text, or `None` if the set lacks one of its characters. No byte order mark is written, and
    /// ISO-2022-JP ends in ASCII.
    pub fn encode(&self, text: &str) -> Option<Vec<u8>> {
        work::spend(text.len());
        match *self {
            Self::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
            Self::Utf8 => Some(text.as_bytes().to_vec()),
            Self::Utf16 { big_endian, .. } => Some(
                text.encode_utf16()
                    .flat_map(|unit| {
                        if big_endian {
                            unit.to_be_bytes()
                        } else {
                            unit.to_le_bytes()
                        }
                    })
                    .collect(),
            ),
            Self::Legacy { encoding, narrow } => {
                let (bytes, _, unmappable) = encoding.encode(text);
                let fits = match narrow {
                    Narrow::No => true,
                    Narrow::NoC1 => !bytes.iter().any(|byte| (0x80..=0x9F).contains(byte)),
                    Narrow::HighPairs => high_pairs_only(&bytes),
                };
                (!unmappable && fits).then(|| bytes.into_owned())
            }
        }
    }

    /// The bytes of an HTML text: characters that the set lacks become numeric character references, so that the
    /// document's charset stays valid. With `seven_bit`, no byte is above 0x7F.
    pub fn encode_html(&self, html: &str, seven_bit: bool) -> Vec<u8> {
        let fits = |bytes: &Vec<u8>| !seven_bit || bytes.is_ascii();
        if let Some(bytes) = self.encode(html).filter(fits) {
            return bytes;
        }
        let mut referenced = String::with_capacity(html.len() * 2);
        let mut buffer = [0; 4];
        for c in html.chars() {
            if c.is_ascii()
                || self
                    .encode(c.encode_utf8(&mut buffer))
                    .filter(fits)
                    .is_some()
            {
                referenced.push(c);
            } else {
                referenced.push_str(&format!("&#{};", u32::from(c)));
            }
        }
        self.encode(&referenced)
            .unwrap_or_else(|| referenced.into_bytes())
    }

    /// Whether all bytes are below 0x80.
    pub fn is_seven_bit(&self) -> bool {
        match *self {
            Self::Ascii => true,
            Self::Legacy { encoding, .. } => encoding == encoding_rs::ISO_2022_JP,
            Self::Utf8 | Self::Utf16 { .. } => false,
        }
    }

    /// Whether this is ISO-2022-JP, which switches sets by escape sequences.
    pub fn is_iso_2022_jp(&self) -> bool {
        matches!(*self, Self::Legacy { encoding, .. } if encoding == encoding_rs::ISO_2022_JP)
    }

    fn utf16(&self) -> &'static Encoding {
        match *self {
            Self::Utf16 {
                big_endian: true, ..
            } => encoding_rs::UTF_16BE,
            _ => encoding_rs::UTF_16LE,
        }
    }

    fn without_mark<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match *self {
            Self::Utf16 { mark: true, .. } => bytes.get(2..).unwrap_or_default(),
            _ => bytes,
        }
    }
}

fn high_pairs_only(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (0..=0x7F, _) => tail,
            (0xA1..=0xFE, [0xA1..=0xFE, after @ ..]) => after,
            _ => return false,
        };
    }
    true
}

/// A text with everything but ASCII masked: each byte of the view represents one or two bytes of the text, and is
/// `x` unless it is an ASCII character.
///
/// ISO-2022-JP and UTF-16 encode other characters with bytes that look like `<` or `>`; the view masks them.
#[derive(Debug)]
pub struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// Bytes of the text for each byte of the view.
    unit: usize,
    /// Bytes before the first one in the view (a byte order mark).
    skipped: usize,
}

impl<'a> View<'a> {
    /// Creates the view of a text in a character set.
    pub fn new(charset: &Charset, text: &'a [u8]) -> Self {
        work::spend(text.len());
        match *charset {
            Charset::Utf16 { big_endian, mark } => {
                let skipped = if mark { 2 } else { 0 };
                let (low, high) = if big_endian { (1, 0) } else { (0, 1) };
                let (units, _) = text.get(skipped..).unwrap_or_default().as_chunks::<2>();
                let bytes = units.iter().map(|unit| {
                    if unit[high] == 0 && unit[low].is_ascii() {
                        unit[low]
                    } else {
                        b'x'
                    }
                });
                Self {
                    bytes: bytes.collect(),
                    unit: 2,
                    skipped,
                }
            }
            _ if charset.is_iso_2022_jp() && memchr::memchr(0x1B, text).is_some() => Self {
                bytes: Cow::Owned(mask_escaped(text)),
                unit: 1,
                skipped: 0,
            },
            _ => {
                let mark: &[u8] = b"\xEF\xBB\xBF";
                let skipped = if *charset == Charset::Utf8 && text.starts_with(mark) {
                    3
                } else {
                    0
                };
                Self {
                    bytes: Cow::Borrowed(&text[skipped..]),
                    unit: 1,
                    skipped,
                }
            }
        }
    }

    /// The bytes of the view.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The offset in the text of an offset in the view.
    pub fn to_text(&self, at: usize) -> usize {
        self.skipped + at * self.unit
    }
}

/// ISO-2022-JP: the escape sequence in force at an offset; `None` for ASCII.
pub(crate) fn escape_in_force(text: &[u8], at: usize) -> Option<&[u8]> {
    let end = at.min(text.len());
    work::spend(end);
    let last = memchr::memrchr(0x1B, &text[..end])?;
    let escape = text.get(last..last + 3)?;
    (escape != b"\x1B(B").then_some(escape)
}

fn mask_escaped(text: &[u8]) -> Vec<u8> {
    let mut masked = text.to_vec();
    let mut hidden = false;
    let mut at = 0;
    while at < masked.len() {
        if masked[at] == 0x1B && at + 2 < masked.len() {
            hidden = !(masked[at + 1] == b'(' && matches!(masked[at + 2], b'B' | b'J'));
            masked[at..at + 3].fill(b'x');
            at += 3;
            continue;
        }
        if hidden && !matches!(masked[at], b'\r' | b'\n') {
            masked[at] = b'x';
        }
        at += 1;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charset(label: &str) -> Charset {
        Charset::for_label(Some(label), b"").expect(label)
    }

    #[test]
    fn text_is_encoded_only_into_what_the_label_promises() {
        for (label, text, fits) in [
            ("us-ascii", "caf\u{e9}", false),
            ("iso-8859-1", "caf\u{e9}", true),
            ("iso-8859-1", "\u{20ac}", false),
            ("iso-8859-15", "\u{20ac}", true),
            ("windows-1252", "\u{20ac}", true),
            ("shift_jis", "社外秘", true),
            ("euc-jp", "社外秘", true),
            ("iso-2022-jp", "社外秘", true),
            ("iso-2022-jp", "caf\u{e9}", false),
            ("gb2312", "机密", true),
            ("gb2312", "機密", false),
            ("gb18030", "機密\u{1F600}", true),
        ] {
            assert_eq!(
                charset(label).encode(text).is_some(),
                fits,
                "{label} {text}"
            );
        }
    }

    #[test]
    fn characters_that_a_charset_lacks_are_html_references() {
        assert_eq!(
            charset("iso-8859-1").encode_html("é社", false),
            b"\xE9&#31038;"
        );
        assert_eq!(charset("utf-8").encode_html("é", true), b"&#233;");
        assert_eq!(
            charset("iso-2022-jp").encode_html("社", true),
            b"\x1B$B<R\x1B(B"
        );
    }

    #[test]
    fn an_unknown_label_is_an_error() {
        for label in ["x-unknown", "utf-7", "iso-2022-kr", "utf-16", ""] {
            assert_eq!(Charset::for_label(Some(label), b"text"), None, "{label}");
        }
        assert_eq!(Charset::for_label(None, b"text"), Some(Charset::Ascii));
    }

    #[test]
    fn a_view_masks_bytes_that_only_look_like_ascii() {
        // The first byte of 社 in ISO-2022-JP is `<`.
        let text = b"\x1B$B<R\x1B(B<";
        assert_eq!(
            View::new(&charset("iso-2022-jp"), text).bytes(),
            b"xxxxxxxx<"
        );
        let text = b"\xFF\xFE<\x00\x3E\x30";
        let charset = Charset::for_label(Some("utf-16"), text).expect("marked");
        let view = View::new(&charset, text);
        assert_eq!((view.bytes(), view.to_text(1)), (&b"<x"[..], 4));
    }
}
