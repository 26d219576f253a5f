//! Verification of an edit: the edited message is parsed again and compared with the original.

use std::ops::Range;

use crate::message::{Content, Field, Part, Structure, map_fields};

use super::wrap::is_content_field;
use crate::work;

/// Whether the edited message has the same parts, and only the `changed` ones differ: headers, bodies, preambles,
/// delimiters and epilogues are compared byte by byte. A changed part may differ in its body, charset,
/// Content-Transfer-Encoding, Content-MD5 and Content-Length.
///
/// `header` is the edited header, `body` the edited body.
pub fn verify_untouched(
    before: &Content,
    header: &Content,
    body: &[u8],
    changed: &[usize],
) -> bool {
    let _stage = work::stage("verifying the edit");
    let old = before.structure();
    let new = header.structure_with(body);
    if old.parts().len() != new.parts().len() || !new.ambiguities().is_empty() {
        return false;
    }
    let mut may_change = vec![false; old.parts().len()];
    for &part in changed {
        may_change[part] = true;
    }
    // Each byte is compared once: bodies of leaves, headers, and the gaps between.
    work::spend(before.body().len() + body.len());
    let pairs = old.parts().iter().zip(new.parts()).enumerate();
    let same_part = |(index, (old_part, new_part)): (usize, (&Part, &Part))| {
        let same = |a: Range<usize>, b: Range<usize>| before.body()[a] == body[b];
        let shape = old_part.parent() == new_part.parent()
            && old_part.children() == new_part.children()
            && old_part.media().essence() == new_part.media().essence();
        work::spend(1 + old_part.children().len());
        if may_change[index] {
            return shape
                && same_fields(&before.body()[old_part.header()], &body[new_part.header()]);
        }
        let inside = match old_part.children() {
            [] => same(old_part.body(), new_part.body()),
            _ => same_gaps(before.body(), old, old_part, body, &new, new_part),
        };
        shape && inside && same(old_part.header(), new_part.header())
    };
    pairs.into_iter().all(same_part)
}

/// Whether the second part of a new multipart contains the message unchanged.
pub(super) fn verify_wrapped(before: &Content, header: &Content, body: &[u8]) -> bool {
    let new = header.structure_with(body);
    let Some(&[_, second]) = new.root().children().first_chunk::<2>() else {
        return false;
    };
    let part = &new.parts()[second];
    work::spend(before.bytes().len());
    let fields: Vec<u8> = before
        .fields()
        .iter()
        .filter(|field| is_content_field(before.name_of(field)))
        .flat_map(|field| before.bytes()[field.whole()].iter().copied())
        .collect();
    new.root().children().len() == 2
        && body[part.body()] == *before.body()
        && body[part.header()].strip_suffix(b"\r\n") == Some(&fields)
}

/// Preamble, delimiters and epilogue of a multipart. A line end before a delimiter may be new, because an empty part
/// may have had none.
fn same_gaps(
    a: &[u8],
    old: &Structure,
    old_part: &Part,
    b: &[u8],
    new: &Structure,
    new_part: &Part,
) -> bool {
    let trimmed = |gap: &[u8], first: bool| -> Vec<u8> {
        let gap = if first {
            gap
        } else {
            gap.strip_prefix(b"\r\n").unwrap_or(gap)
        };
        gap.to_vec()
    };
    let gaps = |bytes: &[u8], structure: &Structure, part: &Part| -> Vec<Vec<u8>> {
        let mut from = part.body().start;
        let mut gaps = Vec::new();
        for &child in part.children() {
            let child = &structure.parts()[child];
            gaps.push(trimmed(&bytes[from..child.header().start], gaps.is_empty()));
            from = child.body().end;
        }
        gaps.push(trimmed(&bytes[from..part.body().end], false));
        gaps
    };
    gaps(a, old, old_part) == gaps(b, new, new_part)
}

/// Whether two headers differ only in fields that an insertion may change.
fn same_fields(a: &[u8], b: &[u8]) -> bool {
    const MAY_CHANGE: [&str; 4] = [
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-MD5",
        "Content-Length",
    ];
    let (fields_a, _) = map_fields(a);
    let (fields_b, _) = map_fields(b);
    let unaffected = |bytes: &'_ [u8], field: &&Field| {
        !MAY_CHANGE
            .iter()
            .any(|name| bytes[field.name()].eq_ignore_ascii_case(name.as_bytes()))
    };
    let old = fields_a
        .iter()
        .filter(|field| unaffected(a, field))
        .map(|field| &a[field.whole()]);
    let new = fields_b
        .iter()
        .filter(|field| unaffected(b, field))
        .map(|field| &b[field.whole()]);
    old.eq(new)
}
