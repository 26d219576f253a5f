//! A text part to which disclaimers are added: position in the text, charset, transfer encoding.

use std::borrow::Cow;

use crate::decision::{Disclaimer, Placement};
use crate::message::{Charset, Part, TransferEncoding, View, escape_in_force, has_pgp_armor};

use super::codec::{self, Insert};
use super::plain::{self, Format};
use super::thread::{DisclaimerMatcher, normalize};
use super::{Reason, html};
use crate::work;

/// The order of disclaimers in a text.
const PLACEMENTS: [Placement; 3] = [Placement::Top, Placement::AboveQuote, Placement::Bottom];

/// A text part, decoded.
pub(super) struct Leaf<'a> {
    part: &'a Part,
    encoded: &'a [u8],
    text: Cow<'a, [u8]>,
    charset: Charset,
}

/// The edited text part: its encoded body, and the header labels that change.
#[derive(Debug, Default)]
pub(super) struct LeafEdit {
    pub(super) body: Vec<u8>,
    pub(super) charset: Option<&'static str>,
    pub(super) encoding: Option<TransferEncoding>,
}

/// A disclaimer and its matcher.
pub(super) type SearchableDisclaimer<'a> = (&'a Disclaimer, &'a DisclaimerMatcher);

impl<'a> Leaf<'a> {
    /// Decodes a part.
    ///
    /// # Errors
    ///
    /// If the encoding or charset is unknown, the bytes are not valid in it, or the text is PGP armor.
    pub(super) fn open(part: &'a Part, body: &'a [u8]) -> Result<Self, Reason> {
        let _stage = work::stage("decoding text");
        let encoded = &body[part.body()];
        work::spend(encoded.len());
        let text = match part.encoding() {
            TransferEncoding::QuotedPrintable => Cow::Owned(codec::qp_decode(encoded)),
            TransferEncoding::Base64 => {
                Cow::Owned(codec::base64_decode(encoded).ok_or(Reason::Undecodable)?)
            }
            TransferEncoding::Unknown => return Err(Reason::UnknownEncoding),
            _ => Cow::Borrowed(encoded),
        };
        let label = part.media().parameter("charset");
        let charset = Charset::for_label(label, &text).ok_or(Reason::UnknownCharset)?;
        let odd = matches!(charset, Charset::Utf16 { .. }) && text.len() % 2 == 1;
        // ISO-2022-JP without a label: bytes that look like ASCII are not.
        let escapes = charset == Charset::Ascii && memchr::memmem::find(&text, b"\x1B$").is_some();
        if odd || escapes {
            return Err(Reason::Undecodable);
        }
        if has_pgp_armor(View::new(&charset, &text).bytes()) {
            return Err(Reason::PgpInline);
        }
        Ok(Self {
            part,
            encoded,
            text,
            charset,
        })
    }

    fn is_html(&self) -> bool {
        self.part.media().is("text/html")
    }

    /// Which disclaimers the text already contains. With `quotes`, the words are also searched in HTML, where
    /// quoting may have removed the marker.
    pub(super) fn has(&self, matchers: &[DisclaimerMatcher], quotes: bool) -> Vec<bool> {
        let wide = matches!(self.charset, Charset::Utf16 { .. });
        let possible = wide || matchers.iter().any(|matcher| matcher.may_be_in(&self.text));
        let words = (possible && (!self.is_html() || quotes)).then(|| {
            let text = self.charset.decode_lossy(&self.text);
            work::spend(text.len());
            match self.is_html() {
                true => normalize(&mail_parser::html_to_text(&text)),
                false => normalize(&text),
            }
        });
        let has = |matcher: &DisclaimerMatcher| {
            (self.is_html() && matcher.marks(&self.text))
                || words.as_deref().is_some_and(|words| matcher.is_in(words))
        };
        matchers.iter().map(has).collect()
    }

    /// Inserts disclaimers.
    ///
    /// # Errors
    ///
    /// If no position is displayed, or the text does not have the encoding that it declares.
    pub(super) fn insert(
        &self,
        disclaimers: &[SearchableDisclaimer<'_>],
        whole_body: bool,
    ) -> Result<LeafEdit, Reason> {
        if self.is_html() {
            let inserts = self.html_inserts(disclaimers)?;
            return self.splice(inserts);
        }
        match self.plain_inserts(disclaimers, &self.charset, &self.text, whole_body) {
            Some(inserts) => self.splice(inserts),
            None => self.as_utf8(disclaimers, whole_body),
        }
    }

    fn html_inserts(
        &self,
        disclaimers: &[SearchableDisclaimer<'_>],
    ) -> Result<Vec<Insert>, Reason> {
        let view = View::new(&self.charset, &self.text);
        let document = html::Document::read(view.bytes());
        let seven_bit = self.part.encoding() == TransferEncoding::SevenBit;
        let mut inserts = Vec::new();
        for (placement, group) in by_placement(disclaimers) {
            let at = document.place(placement).ok_or(Reason::NoPlace)?;
            let fragment: String = group
                .iter()
                .map(|(disclaimer, matcher)| {
                    html::fragment_of(
                        disclaimer.html.as_deref(),
                        &disclaimer.text,
                        matcher.marker(),
                    )
                })
                .collect();
            let bytes = self.charset.encode_html(&fragment, seven_bit);
            inserts.push(self.in_ascii(view.to_text(at), bytes));
        }
        Ok(sorted(inserts))
    }

    /// The insertions for plain text in a charset; `None` if the charset lacks one of their characters.
    fn plain_inserts(
        &self,
        disclaimers: &[SearchableDisclaimer<'_>],
        charset: &Charset,
        text: &[u8],
        whole_body: bool,
    ) -> Option<Vec<Insert>> {
        let view = View::new(charset, text);
        let media = self.part.media();
        let format = Format {
            flowed: media.has_parameter("format", "flowed"),
            delsp: media.has_parameter("delsp", "yes"),
        };
        let line_end = plain::line_end(view.bytes());
        let mut inserts = Vec::new();
        for (placement, group) in by_placement(disclaimers) {
            let place = plain::place(view.bytes(), placement, format, whole_body);
            let texts: Vec<String> = group
                .iter()
                .map(|(disclaimer, _)| plain_form(disclaimer))
                .collect();
            let bytes = charset.encode(&place.fill(&texts.join("\n\n"), format, line_end))?;
            inserts.push(self.in_ascii(view.to_text(place.at), bytes));
        }
        Some(sorted(inserts))
    }

    /// Wraps an insertion into ISO-2022-JP text: it begins in ASCII, and restores the character set that was active.
    fn in_ascii(&self, at: usize, bytes: Vec<u8>) -> Insert {
        let escape = self
            .charset
            .is_iso_2022_jp()
            .then(|| escape_in_force(&self.text, at))
            .flatten();
        match escape {
            Some(escape) => Insert {
                at,
                bytes: [b"\x1B(B", bytes.as_slice(), escape].concat(),
            },
            None => Insert { at, bytes },
        }
    }

    fn splice(&self, inserts: Vec<Insert>) -> Result<LeafEdit, Reason> {
        let binary = matches!(self.charset, Charset::Utf16 { .. });
        let unchanged = |body| LeafEdit {
            body,
            charset: None,
            encoding: None,
        };
        match self.part.encoding() {
            TransferEncoding::Base64 => Ok(unchanged(codec::base64_splice(
                self.encoded,
                &self.text,
                &inserts,
            ))),
            TransferEncoding::QuotedPrintable => Ok(unchanged(
                codec::qp_splice(self.encoded, &inserts, binary).unwrap_or_else(|| {
                    codec::qp_encode(&codec::splice(&self.text, &inserts), binary)
                }),
            )),
            TransferEncoding::SevenBit if inserts.iter().any(|insert| !insert.bytes.is_ascii()) => {
                Ok(LeafEdit {
                    body: codec::qp_encode(&codec::splice(&self.text, &inserts), binary),
                    charset: None,
                    encoding: Some(TransferEncoding::QuotedPrintable),
                })
            }
            TransferEncoding::Unknown => Err(Reason::UnknownEncoding),
            _ => Ok(unchanged(codec::splice(&self.text, &inserts))),
        }
    }

    /// The edited part converted to UTF-8, which has every character.
    fn as_utf8(
        &self,
        disclaimers: &[SearchableDisclaimer<'_>],
        whole_body: bool,
    ) -> Result<LeafEdit, Reason> {
        let text = match self.charset {
            // Unlabeled UTF-8 is recognized by its bytes; other charsets cannot be.
            Charset::Ascii => std::str::from_utf8(&self.text).ok().map(Cow::Borrowed),
            charset => charset.decode(&self.text),
        };
        let text = text.ok_or(Reason::Undecodable)?;
        let inserts = self
            .plain_inserts(disclaimers, &Charset::Utf8, text.as_bytes(), whole_body)
            .ok_or(Reason::Undecodable)?;
        let text = codec::splice(text.as_bytes(), &inserts);
        let (body, encoding) = match self.part.encoding() {
            TransferEncoding::Base64 => {
                let mut body = codec::base64_encode(&text);
                if self.encoded.ends_with(b"\n") || whole_body {
                    body.extend_from_slice(b"\r\n");
                }
                (body, None)
            }
            TransferEncoding::QuotedPrintable => (codec::qp_encode(&text, false), None),
            TransferEncoding::SevenBit => (
                codec::qp_encode(&text, false),
                Some(TransferEncoding::QuotedPrintable),
            ),
            _ => (text, None),
        };
        Ok(LeafEdit {
            body,
            charset: Some("utf-8"),
            encoding,
        })
    }
}

/// The plain-text form of a disclaimer: converted from its HTML if it has none.
pub(super) fn plain_form(disclaimer: &Disclaimer) -> String {
    match disclaimer.html.as_deref() {
        Some(html) if disclaimer.text.trim().is_empty() => {
            mail_parser::html_to_text(html).trim().to_owned()
        }
        _ => disclaimer.text.trim_end().to_owned(),
    }
}

/// Disclaimers grouped by placement, in the given order.
fn by_placement<'a>(
    disclaimers: &[SearchableDisclaimer<'a>],
) -> Vec<(Placement, Vec<SearchableDisclaimer<'a>>)> {
    let group = |placement| -> Vec<SearchableDisclaimer<'a>> {
        disclaimers
            .iter()
            .copied()
            .filter(|(disclaimer, _)| disclaimer.placement == placement)
            .collect()
    };
    let groups = PLACEMENTS.map(|placement| (placement, group(placement)));
    groups
        .into_iter()
        .filter(|(_, group)| !group.is_empty())
        .collect()
}

fn sorted(mut inserts: Vec<Insert>) -> Vec<Insert> {
    inserts.sort_by_key(|insert| insert.at);
    inserts
}
