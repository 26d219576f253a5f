//! The MIME structure of a message: which bytes of the body belong to which part
//! (RFC 2046).
//!
//! Parts are ranges over the body; nothing is decoded to find them, and the cost
//! is one pass over the body however deeply it is nested. Messages that are
//! attached (`message/rfc822`) are leaves: what they hold is nobody's text to
//! edit. Any bytes have a structure; where the standard does not give one and
//! the reading is a [`Guess`], that is recorded, so that whoever edits can leave
//! such a message alone.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::entity::{Disposition, Entity, MediaType, TransferEncoding, bare_id};
use super::{Content, boundary};
use crate::work;

/// Deepest nesting that is followed. Mail programs reach five or six; each level
/// costs a comparison at each line that begins with `--`.
pub(super) const MAXIMUM_DEPTH: usize = 64;

/// Most parts that are told apart. A mail with more of them is an attack; the
/// map of this many takes some 20 MB.
pub(crate) const MAXIMUM_PARTS: usize = 50_000;

/// Longest boundary (RFC 2046, section 5.1.1). Readers take longer ones too, so
/// that they are followed, but none need.
pub(super) const LONGEST_BOUNDARY: usize = 70;

/// Where the structure of a message is not what the standard gives, so that
/// another reader may see other parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guess {
    /// A Content-* field stands twice in one header.
    RepeatedField,
    /// A Content-Type that cannot be read.
    ContentType,
    /// A multipart without a boundary.
    NoBoundary,
    /// A boundary of more than 70 characters.
    LongBoundary,
    /// A multipart none of whose delimiters is there.
    NoParts,
    /// A multipart without its closing delimiter.
    NotClosed,
    /// A line that begins with a delimiter and goes on.
    LongDelimiter,
    /// Two open multiparts cannot be told apart by their boundaries.
    SameBoundary,
    /// A multipart that claims to be encoded (RFC 2045, section 6.4).
    EncodedMultipart,
    /// A header that no empty line ends.
    OpenHeader,
    /// More levels than are followed.
    TooDeep,
    /// More parts than are told apart.
    TooMany,
}

impl Guess {
    pub(super) fn note(self, guesses: &mut Vec<Self>) {
        if !guesses.contains(&self) {
            guesses.push(self);
        }
    }
}

/// One part: a leaf, or a multipart with children. Ranges count from the first
/// byte of the message's body.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) parent: Option<usize>,
    pub(super) children: Vec<usize>,
    pub(super) header: Range<usize>,
    pub(super) body: Range<usize>,
    pub(super) entity: Entity,
}

impl Part {
    /// Index of the multipart that it belongs to; none for the root.
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Indices of its children, in order.
    pub fn children(&self) -> &[usize] {
        &self.children
    }

    /// Its header with the empty line that ends it. Empty for the root, whose
    /// header is the message's.
    pub fn header(&self) -> Range<usize> {
        self.header.clone()
    }

    /// Its body, without the line end that belongs to the delimiter behind it;
    /// for a multipart with preamble and epilogue.
    pub fn body(&self) -> Range<usize> {
        self.body.clone()
    }

    /// Its media type: `text/plain` where nothing readable is declared.
    pub fn media(&self) -> &MediaType {
        &self.entity.media
    }

    /// Whether its header has a readable Content-Type.
    pub fn is_declared(&self) -> bool {
        self.entity.declared
    }

    /// How its body is encoded.
    pub fn encoding(&self) -> TransferEncoding {
        self.entity.encoding
    }

    /// How it asks to be shown.
    pub fn disposition(&self) -> Option<&Disposition> {
        self.entity.disposition.as_ref()
    }

    /// Its Content-ID, without angle brackets.
    pub fn content_id(&self) -> Option<&str> {
        self.entity.content_id.as_deref()
    }

    /// Whether it is a multipart, readable or not.
    pub fn is_multipart(&self) -> bool {
        self.media().kind() == "multipart"
    }

    /// The text that a reader sees: `text/plain` or `text/html`.
    pub fn is_text(&self) -> bool {
        self.media().is("text/plain") || self.media().is("text/html")
    }

    /// A file that the sender attached, rather than text or a place for it.
    pub fn is_attachment(&self) -> bool {
        let named = |disposition: &Disposition| {
            disposition.kind == "attachment" || disposition.file_name.is_some()
        };
        self.disposition().is_some_and(named) || !(self.is_multipart() || self.is_text())
    }

    /// The name that the sender gave it: `filename`, or else `name`.
    pub fn file_name(&self) -> Option<&str> {
        self.disposition()
            .and_then(|disposition| disposition.file_name.as_deref())
            .or_else(|| self.media().parameter("name"))
    }
}

/// All parts of a message. The first is the root.
#[derive(Clone, Debug)]
pub struct Structure {
    pub(super) parts: Vec<Part>,
    pub(super) guesses: Vec<Guess>,
}

impl Structure {
    /// Maps the body of a message whose header fields are those of `header`.
    pub fn new(header: &Content, body: &[u8]) -> Self {
        let _stage = work::stage("mapping MIME parts");
        let mut guesses = Vec::new();
        let entity = Entity::read(header.bytes(), header.fields(), "text/plain", &mut guesses);
        let header_end = header.fields().last().map_or(0, |field| field.whole().end);
        if header_end == header.body_offset() && !body.is_empty() {
            // Some readers go on looking for fields in what is the body here.
            Guess::OpenHeader.note(&mut guesses);
        }
        boundary::scan(entity, body, guesses)
    }

    /// The part that is the whole message.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// All parts, each before its children.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Where the standard left the structure open, each reason once.
    pub fn guesses(&self) -> &[Guess] {
        &self.guesses
    }

    /// The child of a `multipart/related` that the others belong to: its
    /// `start`, else the first (RFC 2387, section 3.2).
    pub fn related_root(&self, related: &Part) -> Option<usize> {
        work::spend(related.children.len());
        let start = related.media().parameter("start").map(bare_id);
        let named = start.and_then(|start| {
            let is_start = |&&child: &&usize| self.parts[child].content_id() == Some(start);
            related.children.iter().find(is_start)
        });
        named.or(related.children.first()).copied()
    }
}
