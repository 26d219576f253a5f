//! The MIME structure of a message: which bytes of the body belong to which part
//! (RFC 2046).
//!
//! Parts are byte ranges of the body. Nothing is decoded to find them, and the
//! cost is one pass over the body at any depth of nesting. Attached messages
//! (`message/rfc822`) are leaves: their content is never edited. Any sequence of
//! bytes has a structure; where the standard leaves it open, each deviation is
//! reported as a [`Ambiguity`], so that an editor can leave such a message unchanged.

mod ambiguity;
mod entity;
mod scan;
mod types;

pub use ambiguity::Ambiguity;
pub use entity::{Disposition, MediaType, TransferEncoding};
pub use scan::MAXIMUM_PARTS;
pub(super) use scan::scan;
pub use types::{Part, Structure};
