//! The header of a MIME entity: media type, transfer encoding, disposition (RFC 2045).

use mail_parser::{HeaderForm, HeaderValue};

use super::ambiguity::Ambiguity;
use crate::message::fields::Field;
use crate::work;

/// A media type with its parameters (RFC 2045, section 5). Names are lower case,
/// values decoded (RFC 2231).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    slash: usize,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// A media type without parameters.
    pub(super) fn bare(essence: &str) -> Self {
        Self {
            essence: essence.to_owned(),
            slash: essence.find('/').unwrap_or(essence.len()),
            parameters: Vec::new(),
        }
    }

    /// Type and subtype, such as `text/plain`, in lower case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The type: `text`, `multipart` …
    pub fn kind(&self) -> &str {
        &self.essence[..self.slash]
    }

    /// The subtype: `plain`, `mixed` …
    pub fn subtype(&self) -> &str {
        self.essence.get(self.slash + 1..).unwrap_or_default()
    }

    /// Whether type and subtype are these, given in lower case.
    pub fn is(&self, essence: &str) -> bool {
        self.essence == essence
    }

    /// The first parameter of that name, given in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(parameter, _)| parameter == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter has that value, in any case.
    pub fn has_parameter(&self, name: &str, value: &str) -> bool {
        self.parameter(name)
            .is_some_and(|found| found.eq_ignore_ascii_case(value))
    }
}

/// Transfer encoding of a body (RFC 2045, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// Lines of ASCII; the default.
    SevenBit,
    /// Lines of any bytes.
    EightBit,
    /// Any bytes.
    Binary,
    /// Quoted-printable.
    QuotedPrintable,
    /// Base64.
    Base64,
    /// Any other value.
    Unknown,
}

impl TransferEncoding {
    /// The value of a Content-Transfer-Encoding field; comments are allowed.
    pub(super) fn parse(value: &[u8]) -> Self {
        let end = memchr::memchr(b'(', value).unwrap_or(value.len());
        match value[..end].trim_ascii().to_ascii_lowercase().as_slice() {
            b"7bit" => Self::SevenBit,
            b"8bit" => Self::EightBit,
            b"binary" => Self::Binary,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Unknown,
        }
    }

    /// Whether the body is not encoded.
    pub fn is_identity(self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }

    /// The name in a header field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Unknown => "x-unknown",
        }
    }
}

/// Presentation of a part (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment` …, in lower case.
    pub kind: String,
    /// The file name, decoded.
    pub file_name: Option<String>,
}

/// The header of one entity.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) media: MediaType,
    /// Whether there is a valid Content-Type field.
    pub(super) declared: bool,
    pub(super) encoding: TransferEncoding,
    pub(super) disposition: Option<Disposition>,
    pub(super) content_id: Option<String>,
}

impl Entity {
    /// Reads the Content-* fields of an entity's header.
    pub(super) fn read(
        bytes: &[u8],
        fields: &[Field],
        default: &str,
        ambiguities: &mut Vec<Ambiguity>,
    ) -> Self {
        let mut entity = Self {
            media: MediaType::bare(default),
            declared: false,
            encoding: TransferEncoding::SevenBit,
            disposition: None,
            content_id: None,
        };
        let mut seen = [false; 4];
        work::spend(fields.len());
        for field in fields {
            let name = &bytes[field.name()];
            if !name
                .get(..8)
                .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"Content-"))
            {
                continue;
            }
            let value = &bytes[field.value()];
            work::spend(value.len());
            let which = match name[8..].to_ascii_lowercase().as_slice() {
                b"type" => {
                    match read_media(value) {
                        Some(media) => (entity.media, entity.declared) = (media, true),
                        None => Ambiguity::ContentType.note(ambiguities),
                    }
                    0
                }
                b"transfer-encoding" => {
                    entity.encoding = TransferEncoding::parse(value);
                    1
                }
                b"disposition" => {
                    entity.disposition = read_disposition(value);
                    2
                }
                b"id" => {
                    let id = String::from_utf8_lossy(value);
                    entity.content_id = Some(bare_id(&id).to_owned());
                    3
                }
                _ => continue,
            };
            if std::mem::replace(&mut seen[which], true) {
                Ambiguity::RepeatedField.note(ambiguities);
            }
        }
        entity
    }
}

/// A Content-ID, or the `start` parameter, without white space and brackets.
pub(super) fn bare_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .unwrap_or(id)
}

fn read_media(value: &[u8]) -> Option<MediaType> {
    let parsed = HeaderForm::ContentType.parse(value);
    let HeaderValue::ContentType(media) = parsed.value() else {
        return None;
    };
    let subtype = media.subtype().filter(|subtype| !subtype.is_empty())?;
    let kind = media.ctype();
    if kind.is_empty() {
        return None;
    }
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Some(MediaType {
        essence: format!("{kind}/{subtype}"),
        slash: kind.len(),
        parameters: media.attributes().map(own).collect(),
    })
}

fn read_disposition(value: &[u8]) -> Option<Disposition> {
    let parsed = HeaderForm::ContentType.parse(value);
    let HeaderValue::ContentType(disposition) = parsed.value() else {
        return None;
    };
    Some(Disposition {
        kind: disposition.ctype().to_owned(),
        file_name: disposition.attribute("filename").map(str::to_owned),
    })
}
