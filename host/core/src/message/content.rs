//! Header and body of a message, by byte range.

use std::sync::OnceLock;

use super::fields::{Field, map_fields};
use super::mime::{self, Structure};
use crate::work;

/// The bytes of a message with a map of its header fields (RFC 5322) and, from the
/// first request on, of its MIME parts (RFC 2045). The bytes never change.
#[derive(Debug)]
pub struct Content {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    body: usize,
    structure: OnceLock<Structure>,
}

impl Content {
    /// Maps the header of a message. Any bytes are accepted: the header ends at the
    /// first empty line, or before the first line that is neither a field nor the
    /// continuation of one, as MTAs read it.
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

    /// Maps a message from a file. If the file has bare line feeds only, they are
    /// replaced by CRLF, as on the wire.
    pub fn of_file(bytes: Vec<u8>) -> Self {
        Self::new(wire_form(bytes))
    }

    /// The MIME parts of the body, mapped at the first call.
    pub fn structure(&self) -> &Structure {
        self.structure
            .get_or_init(|| self.structure_with(self.body()))
    }

    /// The MIME parts of another body under this message's header.
    pub fn structure_with(&self, body: &[u8]) -> Structure {
        mime::scan(&self.bytes[..self.body], &self.fields, body)
    }

    /// The whole message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All header fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Offset of the body's first byte, in bytes from the start of the message.
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

    /// Raw value of a field of this message, with folds and leading space.
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

/// The message with CRLF line ends, unless it has a CRLF already.
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
