//! The digest of a message's content.

use aws_lc_rs::digest::{Context, SHA256};
use waxseal_core::message::Content;
use waxseal_core::work;

/// A digest (SHA-256) of what a message says: its body, and the header fields that
/// readers see. Fields that the MTA or other milters add on the way (`Received`,
/// `Authentication-Results`, `DKIM-Signature`) do not influence it, and neither does
/// folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest(pub(super) [u8; 32]);

/// Fields that influence the digest, in lower case.
const FIELDS: [&[u8]; 11] = [
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
];

impl ContentDigest {
    /// The digest of a message: as it leaves the milter, or as it comes back.
    pub fn of(content: &Content) -> Self {
        let mut context = Context::new(&SHA256);
        let mut buffer = Vec::new();
        for field in content.fields() {
            let name = content.name_of(field).to_ascii_lowercase();
            if !FIELDS.contains(&name.as_slice()) {
                continue;
            }
            buffer.clear();
            buffer.extend_from_slice(&name);
            buffer.push(b':');
            push_unfolded(&mut buffer, content.value_of(field));
            // The length, so that no two headers have the same bytes.
            context.update(&(buffer.len() as u64).to_be_bytes());
            context.update(&buffer);
        }
        context.update(&u64::MAX.to_be_bytes());
        let body = content.body();
        work::spend(body.len());
        context.update(without_last_lines(body));
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// Appends the words of a value with one space between them, as in relaxed
/// canonicalization (RFC 6376, section 3.4.2).
fn push_unfolded(buffer: &mut Vec<u8>, value: &[u8]) {
    work::spend(value.len());
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    for word in value.split(is_space).filter(|word| !word.is_empty()) {
        buffer.extend_from_slice(word);
        buffer.push(b' ');
    }
}

/// The body without line breaks at its end: a body without any gets one in transit.
fn without_last_lines(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &body[..end.map_or(0, |end| end + 1)]
}
