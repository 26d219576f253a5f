//! A message's MIME structure: its parts as byte ranges of the body.

use std::ops::Range;

use super::ambiguity::Ambiguity;
use super::entity::{Disposition, Entity, MediaType, TransferEncoding, bare_id};
use crate::work;

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
    /// Index of the multipart that contains it; `None` for the root.
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

    /// Its body, without the line end that belongs to the following delimiter; for a multipart with preamble and
    /// epilogue.
    pub fn body(&self) -> Range<usize> {
        self.body.clone()
    }

    /// Its media type: `text/plain` unless a valid one is declared.
    pub fn media(&self) -> &MediaType {
        &self.entity.media
    }

    /// Whether its header has a valid Content-Type.
    pub fn is_declared(&self) -> bool {
        self.entity.declared
    }

    /// Its transfer encoding.
    pub fn encoding(&self) -> TransferEncoding {
        self.entity.encoding
    }

    /// Its disposition.
    pub fn disposition(&self) -> Option<&Disposition> {
        self.entity.disposition.as_ref()
    }

    /// Its Content-ID, without angle brackets.
    pub fn content_id(&self) -> Option<&str> {
        self.entity.content_id.as_deref()
    }

    /// Whether it is a multipart, valid or not.
    pub fn is_multipart(&self) -> bool {
        self.media().kind() == "multipart"
    }

    /// Whether it is text that is displayed: `text/plain` or `text/html`.
    pub fn is_text(&self) -> bool {
        self.media().is("text/plain") || self.media().is("text/html")
    }

    /// Whether it is an attached file.
    pub fn is_attachment(&self) -> bool {
        let named = |disposition: &Disposition| {
            disposition.kind == "attachment" || disposition.file_name.is_some()
        };
        self.disposition().is_some_and(named) || !(self.is_multipart() || self.is_text())
    }

    /// File name: `filename`, or else `name`.
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
    pub(super) ambiguities: Vec<Ambiguity>,
}

impl Structure {
    /// The part that is the whole message.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// All parts, each before its children.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Deviations from the standard, each kind once.
    pub fn ambiguities(&self) -> &[Ambiguity] {
        &self.ambiguities
    }

    /// The root of a `multipart/related`: its `start`, else the first child (RFC 2387, section 3.2).
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
