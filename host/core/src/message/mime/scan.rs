//! Finds the delimiters of multiparts (RFC 2046, section 5.1.1).
//!
//! One pass: the open multiparts lie on a stack, and each line that begins with
//! `--` is compared with their boundaries, the innermost first. A line is a
//! delimiter when it is one to the last byte, white space at its end aside; so
//! boundaries may be prefixes of one another. The delimiter of an outer
//! multipart ends the inner ones that were not closed.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::entity::Entity;
use super::guess::Guess;
use super::types::{Part, Structure};
use crate::message::fields::{Field, map_fields};
use crate::work;

/// Deepest nesting that is followed. Mail programs reach five or six; each level
/// costs a comparison at each line that begins with `--`.
const MAXIMUM_DEPTH: usize = 64;

/// Most parts that are told apart. A mail with more of them is an attack; the
/// map of this many takes some 20 MB.
pub const MAXIMUM_PARTS: usize = 50_000;

/// Longest boundary (RFC 2046, section 5.1.1). Readers take longer ones too, so
/// that they are followed, but none need.
const LONGEST_BOUNDARY: usize = 70;

/// Maps the parts of a body. `header` is the message's header up to the body's
/// first byte, `fields` are the fields in it.
pub(in crate::message) fn scan(header: &[u8], fields: &[Field], body: &[u8]) -> Structure {
    let _stage = work::stage("mapping MIME parts");
    let mut guesses = Vec::new();
    let root = Entity::read(header, fields, "text/plain", &mut guesses);
    let fields_end = fields.last().map_or(0, |field| field.whole().end);
    if fields_end == header.len() && !body.is_empty() {
        // No empty line between header and body: some readers look for more
        // fields in what is the body here.
        Guess::OpenHeader.note(&mut guesses);
    }
    let mut scanner = Scanner {
        body,
        parts: Vec::new(),
        guesses,
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
            Guess::TooMany.note(&mut scanner.guesses);
            break;
        }
    }
    scanner.abandon(0);
    Structure {
        parts: scanner.parts,
        guesses: scanner.guesses,
    }
}

struct Open {
    part: usize,
    boundary: Vec<u8>,
}

struct Delimiter {
    /// Where its line begins, and the next one.
    line: Range<usize>,
    /// Which of the open multiparts it belongs to.
    level: usize,
    closing: bool,
}

struct Scanner<'a> {
    body: &'a [u8],
    parts: Vec<Part>,
    guesses: Vec<Guess>,
    /// The part that is being read, behind those that it lies in.
    path: Vec<usize>,
    /// Multiparts whose closing delimiter has not come yet.
    open: Vec<Open>,
}

impl Scanner<'_> {
    /// The first delimiter of an open multipart at or behind a line's begin.
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
            Guess::LongDelimiter.note(&mut self.guesses);
        }
        None
    }

    /// Ends what a delimiter ends and begins what it begins; the offset from
    /// which to go on.
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
                Guess::NoParts.note(&mut self.guesses);
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
            Guess::OpenHeader.note(&mut self.guesses);
        }
        let default = if self.parts[owner].media().is("multipart/digest") {
            "message/rfc822"
        } else {
            "text/plain"
        };
        let entity = Entity::read(bytes, &fields, default, &mut self.guesses);
        let end = header.end;
        self.add(entity, header);
        end
    }

    /// Where a header that begins here ends at the latest: behind its empty
    /// line, or before a delimiter, which no header can hold.
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
            Guess::EncodedMultipart.note(&mut self.guesses);
        }
        let boundary = entity.media.parameter("boundary").map_or("", str::trim_end);
        if boundary.is_empty() {
            return Guess::NoBoundary.note(&mut self.guesses);
        }
        if self.open.len() >= MAXIMUM_DEPTH {
            return Guess::TooDeep.note(&mut self.guesses);
        }
        if boundary.len() > LONGEST_BOUNDARY {
            Guess::LongBoundary.note(&mut self.guesses);
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
            Guess::SameBoundary.note(&mut self.guesses);
        }
        self.open.push(Open { part, boundary });
    }

    /// Gives up the multiparts from that level on, which nothing closed.
    fn abandon(&mut self, level: usize) {
        for open in self.open.drain(level..) {
            let childless = self.parts[open.part].children.is_empty();
            let guess = if childless {
                Guess::NoParts
            } else {
                Guess::NotClosed
            };
            guess.note(&mut self.guesses);
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
