//! Scanner for the delimiters of multiparts (RFC 2046, section 5.1.1).
//!
//! One pass: the open multiparts are on a stack, and each line that begins with `--` is compared with their
//! boundaries, the innermost first. A delimiter must match the complete line, except for white space at its end; so
//! boundaries may be prefixes of one another. The delimiter of an outer multipart ends inner ones that were not
//! closed.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::ambiguity::Ambiguity;
use super::entity::Entity;
use super::types::{Part, Structure};
use crate::message::fields::{Field, map_fields};
use crate::work;

/// Maximum depth of nesting. Mail programs reach five or six; each level costs a comparison for each line that begins
/// with `--`.
const MAXIMUM_DEPTH: usize = 64;

/// Maximum number of parts. A message with more of them is an attack; a map of this many takes some 20 MB.
pub const MAXIMUM_PARTS: usize = 50_000;

/// Longest boundary (RFC 2046, section 5.1.1). Mail programs accept longer ones too, so they are followed and
/// reported.
const LONGEST_BOUNDARY: usize = 70;

/// Maps the parts of a body. `header` is the message's header up to the body's
/// first byte, `fields` are the fields in it.
pub(in crate::message) fn scan(header: &[u8], fields: &[Field], body: &[u8]) -> Structure {
    let _stage = work::stage("mapping MIME parts");
    let mut ambiguities = Vec::new();
    let root = Entity::read(header, fields, "text/plain", &mut ambiguities);
    let fields_end = fields.last().map_or(0, |field| field.whole().end);
    if fields_end == header.len() && !body.is_empty() {
        // No empty line between header and body: some mail programs read further fields in the body.
        Ambiguity::OpenHeader.note(&mut ambiguities);
    }
    let mut scanner = Scanner {
        body,
        parts: Vec::new(),
        ambiguities,
        path: Vec::new(),
        open: Vec::new(),
    };
    scanner.add(root, 0..0);
    let finder = memmem::Finder::new(b"\n--");
    let mut at = 0;
    while !scanner.open.is_empty() {
        let Some(delimiter) = scanner.next_delimiter(&finder, at) else {
            break;
        };
        at = scanner.pass(&delimiter);
        if scanner.parts.len() >= MAXIMUM_PARTS {
            Ambiguity::TooMany.note(&mut scanner.ambiguities);
            break;
        }
    }
    scanner.abandon(0);
    Structure {
        parts: scanner.parts,
        ambiguities: scanner.ambiguities,
    }
}

struct Open {
    part: usize,
    boundary: Vec<u8>,
}

struct Delimiter {
    /// Range of its line.
    line: Range<usize>,
    /// Index of the open multipart that it belongs to.
    level: usize,
    closing: bool,
}

struct Scanner<'a> {
    body: &'a [u8],
    parts: Vec<Part>,
    ambiguities: Vec<Ambiguity>,
    /// The part that is being read, after its ancestors.
    path: Vec<usize>,
    /// Multiparts without a closing delimiter so far.
    open: Vec<Open>,
}

impl Scanner<'_> {
    /// The first delimiter of an open multipart at or after the start of a line.
    fn next_delimiter(&mut self, finder: &memmem::Finder<'_>, from: usize) -> Option<Delimiter> {
        let mut line = match self.body.get(from..)? {
            rest if rest.starts_with(b"--") => from,
            rest => from + finder.find(rest)? + 1,
        };
        work::spend(line - from);
        loop {
            if let Some(delimiter) = self.delimiter_at(line) {
                return Some(delimiter);
            }
            let next = line + finder.find(&self.body[line..])? + 1;
            work::spend(next - line);
            line = next;
        }
    }

    fn delimiter_at(&mut self, start: usize) -> Option<Delimiter> {
        let rest = &self.body[start..];
        let length = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        work::spend(length + self.open.len());
        let text = rest[..length].trim_ascii_end().strip_prefix(b"--")?;
        let mut longer = false;
        for (level, open) in self.open.iter().enumerate().rev() {
            let Some(tail) = text.strip_prefix(open.boundary.as_slice()) else {
                continue;
            };
            if tail.is_empty() || tail == b"--" {
                let line = start..start + length;
                return Some(Delimiter {
                    line,
                    level,
                    closing: !tail.is_empty(),
                });
            }
            longer = true;
        }
        if longer {
            Ambiguity::LongDelimiter.note(&mut self.ambiguities);
        }
        None
    }

    /// Ends and begins parts at a delimiter; returns the offset at which to continue.
    fn pass(&mut self, delimiter: &Delimiter) -> usize {
        let end = before_line_end(self.body, delimiter.line.start);
        let owner = self.open[delimiter.level].part;
        while let Some(part) = self.path.pop_if(|part| *part != owner) {
            let body = &mut self.parts[part].body;
            body.end = end.max(body.start);
        }
        self.abandon(delimiter.level + 1);
        let next = delimiter.line.end;
        if delimiter.closing {
            if self.parts[owner].children.is_empty() {
                Ambiguity::NoParts.note(&mut self.ambiguities);
            }
            self.open.pop();
            return next;
        }
        let header = next..self.header_end(next);
        let (fields, length) = map_fields(&self.body[header.clone()]);
        let header = next..next + length;
        let bytes = &self.body[header.clone()];
        let closed = bytes.ends_with(b"\n\r\n")
            || bytes.ends_with(b"\n\n")
            || matches!(bytes, b"\r\n" | b"\n");
        if !closed {
            Ambiguity::OpenHeader.note(&mut self.ambiguities);
        }
        let default = if self.parts[owner].media().is("multipart/digest") {
            "message/rfc822"
        } else {
            "text/plain"
        };
        let entity = Entity::read(bytes, &fields, default, &mut self.ambiguities);
        let end = header.end;
        self.add(entity, header);
        end
    }

    /// Last possible end of a header that begins here: after its empty line, or before a delimiter, which no header
    /// contains.
    fn header_end(&mut self, start: usize) -> usize {
        let mut at = start;
        while at < self.body.len() {
            let rest = &self.body[at..];
            let length = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            work::spend(length);
            let line = rest[..length].trim_ascii_end();
            if line.is_empty() && matches!(rest[0], b'\r' | b'\n') {
                return at + length;
            }
            let is_field = matches!(rest[0], b' ' | b'\t') || memchr(b':', line).is_some();
            if !is_field || (line.starts_with(b"--") && self.delimiter_at(at).is_some()) {
                return at;
            }
            at += length;
        }
        at
    }

    fn add(&mut self, entity: Entity, header: Range<usize>) {
        let index = self.parts.len();
        let parent = self.path.last().copied();
        if let Some(parent) = parent {
            self.parts[parent].children.push(index);
        }
        if entity.media.kind() == "multipart" {
            self.open(index, &entity);
        }
        let body = header.end..self.body.len();
        self.parts.push(Part {
            parent,
            children: Vec::new(),
            header,
            body,
            entity,
        });
        self.path.push(index);
    }

    fn open(&mut self, part: usize, entity: &Entity) {
        if !entity.encoding.is_identity() {
            Ambiguity::EncodedMultipart.note(&mut self.ambiguities);
        }
        let boundary = entity.media.parameter("boundary").map_or("", str::trim_end);
        if boundary.is_empty() {
            return Ambiguity::NoBoundary.note(&mut self.ambiguities);
        }
        if self.open.len() >= MAXIMUM_DEPTH {
            return Ambiguity::TooDeep.note(&mut self.ambiguities);
        }
        if boundary.len() > LONGEST_BOUNDARY {
            Ambiguity::LongBoundary.note(&mut self.ambiguities);
        }
        let boundary = boundary.as_bytes().to_vec();
        let closes =
            |closing: &[u8], boundary: &[u8]| closing.strip_suffix(b"--") == Some(boundary);
        let alike = |open: &Open| {
            open.boundary == boundary
                || closes(&open.boundary, &boundary)
                || closes(&boundary, &open.boundary)
        };
        work::spend(self.open.len() + boundary.len());
        if self.open.iter().any(alike) {
            Ambiguity::SameBoundary.note(&mut self.ambiguities);
        }
        self.open.push(Open { part, boundary });
    }

    /// Drops the unclosed multiparts from that level on.
    fn abandon(&mut self, level: usize) {
        for open in self.open.drain(level..) {
            let childless = self.parts[open.part].children.is_empty();
            let ambiguity = if childless {
                Ambiguity::NoParts
            } else {
                Ambiguity::NotClosed
            };
            ambiguity.note(&mut self.ambiguities);
        }
    }
}

/// The line end before a delimiter is part of the delimiter.
fn before_line_end(body: &[u8], line: usize) -> usize {
    match &body[..line] {
        [.., b'\r', b'\n'] => line - 2,
        [.., b'\n'] => line - 1,
        _ => line,
    }
}
