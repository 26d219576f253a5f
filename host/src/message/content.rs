//! Header fields and body by byte range.

use std::ops::Range;
use std::sync::OnceLock;

use super::Structure;
use crate::work;
use memchr::memchr;

/// One header field and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: Range<usize>,
    /// Everything behind the colon up to the line end that closes the field.
    value: Range<usize>,
    /// The whole field with its line end.
    whole: Range<usize>,
}

impl Field {
    /// Range of the name.
    pub fn name(&self) -> Range<usize> {
        self.name.clone()
    }

    /// Range of the value: leading white space and folds included, the line end
    /// that closes the field not.
    pub fn value(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Range of the whole field with its line end.
    pub fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }
}

/// Header and body as they came, and where each field stands.
#[derive(Debug)]
pub struct Content {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    body: usize,
    structure: OnceLock<Structure>,
}

impl Content {
    /// Maps a message. Any bytes will do: the header ends at the first empty
    /// line, or before the first line that is no field and continues none, as
    /// MTAs see it.
    pub fn new(bytes: Vec<u8>) -> Self {
        let _stage = work::stage("mapping the header");
        let (fields, body) = map_fields(&bytes);
        Self {
            bytes,
            fields,
            body,
            structure: OnceLock::new(),
        }
    }

    /// A message from a file. Files often have bare line feeds; on the wire
    /// there are none.
    pub fn of_file(bytes: Vec<u8>) -> Self {
        Self::new(wire_form(bytes))
    }

    /// The parts of the body, mapped when first asked for.
    pub fn structure(&self) -> &Structure {
        self.structure
            .get_or_init(|| Structure::new(self, self.body()))
    }

    /// The whole message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All header fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Offset of the body's first byte.
    pub fn body_offset(&self) -> usize {
        self.body
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    /// Name of a field of this message.
    pub fn name_of(&self, field: &Field) -> &[u8] {
        &self.bytes[field.name()]
    }

    /// Raw value of a field of this message, folds and leading space included.
    pub fn value_of(&self, field: &Field) -> &[u8] {
        &self.bytes[field.value()]
    }

    /// The fields of that name (in any case), in order of appearance.
    pub fn fields_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> + 'a {
        work::spend(self.fields.len());
        self.fields
            .iter()
            .filter(move |field| self.name_of(field).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// How many fields of that name there are.
    pub fn count_named(&self, name: &str) -> usize {
        self.fields_named(name).count()
    }
}

fn wire_form(bytes: Vec<u8>) -> Vec<u8> {
    work::spend(bytes.len());
    if memchr::memmem::find(&bytes, b"\r\n").is_some() {
        return bytes;
    }
    let lines = memchr::memchr_iter(b'\n', &bytes).count();
    let mut wire = Vec::with_capacity(bytes.len() + lines);
    for byte in bytes {
        if byte == b'\n' {
            wire.push(b'\r');
        }
        wire.push(byte);
    }
    wire
}

/// Fields of a header that begins at the first byte, and the offset of the
/// body. Also used for the headers of MIME parts.
pub(crate) fn map_fields(bytes: &[u8]) -> (Vec<Field>, usize) {
    let mut fields: Vec<Field> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (line_end, next) = match memchr(b'\n', &bytes[at..]) {
            Some(lf) => {
                let lf = at + lf;
                let end = if lf > at && bytes[lf - 1] == b'\r' {
                    lf - 1
                } else {
                    lf
                };
                (end, lf + 1)
            }
            None => (bytes.len(), bytes.len()),
        };
        work::spend(next - at);
        let line = &bytes[at..line_end];
        if line.is_empty() {
            return (fields, next);
        }
        if matches!(line[0], b' ' | b'\t') {
            let Some(last) = fields.last_mut() else {
                return (fields, at);
            };
            last.value.end = line_end;
            last.whole.end = next;
        } else {
            let Some(colon) = memchr(b':', line) else {
                return (fields, at);
            };
            let name_end = line[..colon]
                .iter()
                .rposition(|&byte| !matches!(byte, b' ' | b'\t'))
                .map_or(0, |last| last + 1);
            if name_end == 0
                || line[..name_end]
                    .iter()
                    .any(|&byte| !(33..=126).contains(&byte))
            {
                return (fields, at);
            }
            fields.push(Field {
                name: at..at + name_end,
                value: at + colon + 1..line_end,
                whole: at..next,
            });
        }
        at = next;
    }
    (fields, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_values(message: &Content) -> Vec<(&str, &str)> {
        message
            .fields()
            .iter()
            .map(|field| {
                (
                    std::str::from_utf8(message.name_of(field)).expect("name"),
                    std::str::from_utf8(message.value_of(field)).expect("value"),
                )
            })
            .collect()
    }

    #[test]
    fn fields_and_body_are_found() {
        let message = Content::new(b"From: a@b\r\nSubject: one\r\n two\r\n\r\nBody\r\n".to_vec());
        assert_eq!(
            names_and_values(&message),
            [("From", " a@b"), ("Subject", " one\r\n two")]
        );
        assert_eq!(message.body(), b"Body\r\n");
        assert_eq!(message.count_named("SUBJECT"), 1);
    }

    #[test]
    fn a_header_without_body_and_a_body_without_header() {
        let message = Content::new(b"From: a@b\r\n".to_vec());
        assert_eq!((message.fields().len(), message.body()), (1, &b""[..]));
        let message = Content::new(b"no header here\r\n".to_vec());
        assert_eq!(
            (message.fields().len(), message.body()),
            (0, &b"no header here\r\n"[..])
        );
        let message = Content::new(Vec::new());
        assert_eq!((message.fields().len(), message.body_offset()), (0, 0));
    }

    #[test]
    fn bare_line_feeds_are_line_ends() {
        let message = Content::new(b"A: 1\nB:2\n\nBody".to_vec());
        assert_eq!(names_and_values(&message), [("A", " 1"), ("B", "2")]);
        assert_eq!(message.body(), b"Body");
    }
}
