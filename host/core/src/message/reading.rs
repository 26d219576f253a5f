//! Accessors of a message for policies and editors: decoded fields, text, attachments and traits.
//!
//! Everything is evaluated on demand. Accessors of the header do not read the body, lists of attachments decode
//! nothing, and text is decoded only up to the requested length.

use std::borrow::Cow;
use std::collections::HashSet;

use mail_parser::{HeaderForm, HeaderValue};

use super::{Address, Charset, Content, Part, Structure, TransferEncoding};
use crate::work;

/// An address of the header and its decoded display name (RFC 5322, section 3.4). The address is as written: it
/// need not be valid in SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name, decoded.
    pub name: Option<String>,
    /// Address without brackets.
    pub address: String,
}

/// A part other than the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Type and subtype, in lower case.
    pub media_type: String,
    /// File name, decoded.
    pub name: Option<String>,
    /// Size of its encoded body in bytes: for base64 about four thirds of the file's size.
    pub size: u64,
}

impl Content {
    /// The authors: all mailboxes of all `From` fields. There should be one such field; mail programs disagree which of
    /// several counts, so all do.
    pub fn author(&self) -> Vec<Mailbox> {
        self.mailboxes("From")
    }

    /// All mailboxes of all fields of that name, with groups flattened.
    pub fn mailboxes(&self, name: &str) -> Vec<Mailbox> {
        let _stage = work::stage("reading addresses");
        let mut mailboxes = Vec::new();
        for field in self.fields_named(name) {
            parse_mailboxes(self.value_of(field), &mut mailboxes);
        }
        mailboxes
    }

    /// The addresses of `To`, `Cc` and `Bcc` that are valid in SMTP, each once: the recipients of a message without an
    /// envelope.
    pub fn header_recipients(&self) -> Vec<Address> {
        let _stage = work::stage("reading addresses");
        let mut seen = HashSet::new();
        let mut addresses: Vec<Address> = Vec::new();
        for mailbox in ["To", "Cc", "Bcc"]
            .iter()
            .flat_map(|name| self.mailboxes(name))
        {
            if let Ok(address) = Address::parse(&mailbox.address)
                && seen.insert(address.clone())
            {
                addresses.push(address);
            }
        }
        addresses
    }

    /// The values of all fields of that name, in order: unfolded, and decoded (RFC 2047).
    pub fn header(&self, name: &str) -> Vec<String> {
        let _stage = work::stage("decoding header fields");
        self.fields_named(name)
            .map(|field| decode_text(self.value_of(field)))
            .collect()
    }

    /// The text that a reader sees first, in UTF-8 with its line ends, truncated to `limit` bytes on a character boundary.
    /// Plain text is preferred; HTML is converted to text. Only as much of the body is decoded as necessary.
    pub fn text(&self, limit: usize) -> Option<String> {
        let structure = self.structure();
        let part = first_text(structure, 0)?;
        let _stage = work::stage("decoding text");
        Some(part_text(self.body(), &structure.parts()[part], limit))
    }

    /// The body of a part of this message as text: decoded, and in UTF-8. Invalid bytes are replaced.
    pub fn decoded(&self, part: &Part) -> String {
        let _stage = work::stage("decoding text");
        let decoded = decode_prefix(&self.body()[part.body()], part.encoding());
        let label = part.media().parameter("charset");
        let charset = Charset::for_label(label, &decoded).unwrap_or(Charset::Utf8);
        charset.decode_lossy(&decoded).into_owned()
    }

    /// The parts other than the text, in order. Nothing is decoded.
    pub fn attachments(&self) -> Vec<Attachment> {
        let structure = self.structure();
        let _stage = work::stage("listing attachments");
        let text = first_text(structure, 0);
        work::spend(structure.parts().len());
        let parts = structure.parts().iter().enumerate();
        parts
            .filter(|(index, part)| part.is_attachment() && Some(*index) != text)
            .map(|(_, part)| Attachment {
                media_type: part.media().essence().to_owned(),
                name: part.file_name().map(str::to_owned),
                size: part.body().len() as u64,
            })
            .collect()
    }

    /// Whether the message has a trait: `signed`, `encrypted`, `report`,
    /// `calendar`, `auto-generated`, `bulk`, `list`, `reply`, `tnef` or
    /// `pgp-inline`. Unknown names are false.
    pub fn has_trait(&self, name: &str) -> bool {
        let _stage = work::stage("looking for traits");
        let any = |condition: fn(&Part) -> bool| {
            let parts = self.structure().parts();
            work::spend(parts.len());
            parts.iter().any(condition)
        };
        match name {
            "signed" => any(is_signed),
            "encrypted" => any(is_encrypted),
            "report" => any(|part| part.media().is("multipart/report")),
            "calendar" => any(is_calendar),
            "tnef" => any(is_tnef),
            "auto-generated" => self.is_auto_generated(),
            "bulk" => self.has_precedence(&["bulk", "junk"]),
            "list" => {
                self.count_named("List-Id") > 0
                    || self.count_named("List-Post") > 0
                    || self.has_precedence(&["list"])
            }
            "reply" => self.count_named("In-Reply-To") > 0 || self.count_named("References") > 0,
            "pgp-inline" => self
                .text(PGP_WINDOW)
                .is_some_and(|text| has_pgp_armor(text.as_bytes())),
            _ => false,
        }
    }

    /// `Auto-Submitted` with a value other than `no` (RFC 3834, section 5).
    fn is_auto_generated(&self) -> bool {
        self.header("Auto-Submitted").iter().any(|value| {
            let keyword = value.split([';', '(']).next().unwrap_or_default().trim();
            !keyword.eq_ignore_ascii_case("no")
        })
    }

    fn has_precedence(&self, names: &[&str]) -> bool {
        let is_one = |value: &String| {
            names
                .iter()
                .any(|name| value.trim().eq_ignore_ascii_case(name))
        };
        self.header("Precedence").iter().any(is_one)
    }
}

/// Bytes of the text in which `has_trait` searches for PGP armor: it comes first, except for a greeting.
const PGP_WINDOW: usize = 4096;

/// Whether a line of the text begins inline PGP armor (RFC 4880, section 6.2).
pub(crate) fn has_pgp_armor(text: &[u8]) -> bool {
    work::spend(text.len());
    [
        "-----BEGIN PGP MESSAGE-----",
        "-----BEGIN PGP SIGNED MESSAGE-----",
    ]
    .iter()
    .any(|armor| memchr::memmem::find_iter(text, armor).any(|at| at == 0 || text[at - 1] == b'\n'))
}

pub(crate) fn is_smime(part: &Part) -> bool {
    part.media().is("application/pkcs7-mime") || part.media().is("application/x-pkcs7-mime")
}

pub(crate) fn is_signed(part: &Part) -> bool {
    part.media().is("multipart/signed")
        || (is_smime(part) && part.media().has_parameter("smime-type", "signed-data"))
}

pub(crate) fn is_encrypted(part: &Part) -> bool {
    part.media().is("multipart/encrypted") || (is_smime(part) && !is_signed(part))
}

pub(crate) fn is_calendar(part: &Part) -> bool {
    part.media().is("text/calendar") || part.media().is("application/ics")
}

pub(crate) fn is_tnef(part: &Part) -> bool {
    part.media().is("application/ms-tnef") || part.media().is("application/vnd.ms-tnef")
}

/// Appends the mailboxes of a field value to `mailboxes`.
pub(crate) fn parse_mailboxes(value: &[u8], mailboxes: &mut Vec<Mailbox>) {
    // The library cannot be interrupted; it reads the value once.
    work::spend(value.len());
    let parsed = HeaderForm::Addresses.parse(value);
    let Some(list) = parsed.value().as_address() else {
        return;
    };
    mailboxes.extend(list.mailboxes().filter_map(|mailbox| {
        Some(Mailbox {
            name: mailbox
                .name()
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            address: mailbox
                .address()
                .filter(|address| !address.is_empty())?
                .to_owned(),
        })
    }));
}

fn decode_text(value: &[u8]) -> String {
    work::spend(value.len());
    match HeaderForm::Text.parse(value).value() {
        HeaderValue::Text(text) => text.to_owned(),
        _ => String::new(),
    }
}

/// The leaf whose text is displayed first at or below a part.
fn first_text(structure: &Structure, index: usize) -> Option<usize> {
    work::spend(1);
    let part = &structure.parts()[index];
    if !part.is_multipart() {
        let is_file = part
            .disposition()
            .is_some_and(|disposition| disposition.kind == "attachment");
        return (part.is_text() && !is_file).then_some(index);
    }
    if part.media().is("multipart/related") {
        return structure
            .related_root(part)
            .and_then(|root| first_text(structure, root));
    }
    let mut texts = part
        .children()
        .iter()
        .filter_map(|&child| first_text(structure, child));
    if part.media().is("multipart/alternative") {
        let found: Vec<usize> = texts.collect();
        let plain = found
            .iter()
            .find(|&&text| structure.parts()[text].media().is("text/plain"));
        return plain.or(found.first()).copied();
    }
    texts.next()
}

fn part_text(body: &[u8], part: &Part, limit: usize) -> String {
    let encoded = &body[part.body()];
    let html = part.media().is("text/html");
    // Few texts need more than this; if one does (markup, escapes), the next round takes four times as much.
    let mut window = limit.saturating_mul(2).saturating_add(1024);
    loop {
        let whole = window >= encoded.len();
        let decoded = decode_prefix(&encoded[..window.min(encoded.len())], part.encoding());
        let label = part.media().parameter("charset");
        let charset = Charset::for_label(label, &decoded).unwrap_or(Charset::Utf8);
        let mut text = charset.decode_lossy(&decoded);
        if html {
            work::spend(text.len());
            // A tag that the window truncates would be read as text.
            let end = if whole {
                text.len()
            } else {
                text.rfind('<').unwrap_or(text.len())
            };
            text = Cow::Owned(mail_parser::html_to_text(&text[..end]));
        }
        if !whole && text.len() < limit.saturating_add(4) {
            window = window.saturating_mul(4);
            continue;
        }
        let mut text = text.into_owned();
        text.truncate(text.floor_char_boundary(limit));
        return text;
    }
}

fn decode_prefix(encoded: &[u8], encoding: TransferEncoding) -> Cow<'_, [u8]> {
    work::spend(encoded.len());
    match encoding {
        TransferEncoding::QuotedPrintable => mail_parser::Encoding::QuotedPrintable.decode(encoded),
        TransferEncoding::Base64 => mail_parser::Encoding::Base64.decode(encoded),
        _ => Cow::Borrowed(encoded),
    }
}
