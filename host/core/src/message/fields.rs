//! Header fields of a message or of a MIME part, by byte range.

use std::ops::Range;

use memchr::memchr;

use crate::work;

/// A header field as byte ranges of the message or part it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: Range<usize>,
    /// Everything after the colon up to the final line end.
    value: Range<usize>,
    /// The complete field with its line end.
    whole: Range<usize>,
}

impl Field {
    /// Range of the name.
    pub fn name(&self) -> Range<usize> {
        self.name.clone()
    }

    /// Range of the value: with leading white space and folds, without the final line end.
    pub fn value(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Range of the complete field with its line end.
    pub fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }
}

/// Finds the fields of a header that begins at the first byte, and the offset of the body.
///
/// The header ends after the first empty line, or before the first line that is neither a field (RFC 5322, section
/// 2.2) nor a continuation. Bare line feeds count as line ends. One pass over the header.
pub fn map_fields(bytes: &[u8]) -> (Vec<Field>, usize) {
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
