//! Selection of the parts of a message that get a disclaimer.

use crate::message::{
    Content, Part, Structure, TransferEncoding, is_calendar, is_encrypted, is_signed, is_tnef,
};

use super::{Context, Reason};
use crate::work;

/// Maximum number of alternatives that get a disclaimer. Mail programs write two or three; with thousands, a short
/// message would grow by thousands of disclaimers.
const MAX_TEXTS: usize = 32;

/// Indices of the parts that display the text: one, or all its alternatives.
///
/// # Errors
///
/// If the message must be left unchanged, or wrapped.
pub(super) fn targets(content: &Content, context: &Context) -> Result<Vec<usize>, Reason> {
    header_allows(content, context)?;
    let structure = content.structure();
    let any = |condition: fn(&Part) -> bool| {
        work::spend(structure.parts().len());
        structure.parts().iter().any(condition)
    };
    if any(|part| part.media().is("multipart/report")) {
        return Err(Reason::Report);
    }
    if any(is_calendar) {
        return Err(Reason::Calendar);
    }
    if !structure.ambiguities().is_empty() {
        return Err(Reason::Ambiguous);
    }
    let mut found = Vec::new();
    walk(structure, 0, &mut found)?;
    if found.is_empty() {
        return Err(if any(is_tnef) {
            Reason::Tnef
        } else {
            Reason::NoText
        });
    }
    if found.len() > MAX_TEXTS {
        return Err(Reason::ManyTexts);
    }
    Ok(found)
}

fn header_allows(content: &Content, context: &Context) -> Result<(), Reason> {
    if context.null_sender {
        return Err(Reason::NullSender);
    }
    if content.has_trait("auto-generated") {
        return Err(Reason::AutoSubmitted);
    }
    let sealed = ["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature"];
    if sealed.iter().any(|name| content.count_named(name) > 0) {
        return Err(Reason::ForeignSignature);
    }
    if !context.settings.replies && content.has_trait("reply") {
        return Err(Reason::Reply);
    }
    if !context.settings.lists && content.has_trait("list") {
        return Err(Reason::List);
    }
    Ok(())
}

/// Appends the text parts at or below a part, in order.
fn walk(structure: &Structure, index: usize, found: &mut Vec<usize>) -> Result<(), Reason> {
    let part = &structure.parts()[index];
    work::spend(1 + part.children().len());
    if is_encrypted(part) {
        return Err(Reason::Encrypted);
    }
    if is_signed(part) {
        return Err(Reason::Signed);
    }
    if part.is_text() {
        if part.encoding() == TransferEncoding::Unknown {
            return Err(Reason::UnknownEncoding);
        }
        // The message itself may have a file name; a part with one is a file.
        if index == 0 || !part.is_attachment() {
            found.push(index);
        }
        return Ok(());
    }
    match part.media().essence() {
        "multipart/mixed" => {
            let parts = structure.parts();
            let closed = |child: &Part| is_encrypted(child) || is_signed(child);
            let shown = |&&child: &&usize| !parts[child].is_attachment() || closed(&parts[child]);
            part.children()
                .iter()
                .find(shown)
                .map_or(Ok(()), |&child| walk(structure, child, found))
        }
        "multipart/related" => structure
            .related_root(part)
            .map_or(Ok(()), |root| walk(structure, root, found)),
        "multipart/alternative" => part
            .children()
            .iter()
            .try_for_each(|&child| walk(structure, child, found)),
        _ => Ok(()),
    }
}
