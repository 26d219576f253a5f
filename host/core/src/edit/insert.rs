//! Insertion of disclaimers into a message (R22).
//!
//! Guarantees: bytes outside the text parts that get the disclaimer do not change; a text with two forms gets
//! the disclaimer in both or in neither; a message that cannot be edited safely is left unchanged, or becomes
//! the second part of a new multipart if that is configured. The result is parsed again and compared before it
//! is returned. Nothing here fails: an obstacle is reported as a [`Reason`].

use std::ops::Range;

use crate::decision::Disclaimer;
use crate::message::Content;
use crate::work;

use super::header::HeaderPlan;
use super::leaf::{Leaf, LeafEdit, SearchableDisclaimer};
use super::thread::DisclaimerMatcher;
use super::verify::{verify_untouched, verify_wrapped};
use super::{
    Context, DisclaimerReport, Edits, HeaderEdit, Outcome, Reason, UneditableAction, parameter,
    walk, wrap,
};

/// The edits that insert disclaimers, and a report for each disclaimer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Insertion {
    /// The whole new body, if it changes.
    pub body: Option<Vec<u8>>,
    /// Changes of the message's header that belong to the new body.
    pub headers: Vec<HeaderEdit>,
    /// One entry for each disclaimer, in the order given.
    pub reports: Vec<DisclaimerReport>,
}

/// Inserts disclaimers into a message; those that cannot be inserted are reported with the reason.
pub fn insert(content: &Content, context: &Context, disclaimers: &[Disclaimer]) -> Insertion {
    let _stage = work::stage("inserting disclaimers");
    let mut report: Vec<DisclaimerReport> = disclaimers
        .iter()
        .map(|disclaimer| skipped(disclaimer, Reason::Empty))
        .collect();
    let wanted: Vec<usize> = (0..disclaimers.len())
        .filter(|&index| !is_empty(&disclaimers[index]))
        .collect();
    if wanted.is_empty() {
        return Insertion {
            reports: report,
            ..Insertion::default()
        };
    }
    let matchers: Vec<DisclaimerMatcher> = disclaimers.iter().map(DisclaimerMatcher::new).collect();
    let (edit, outcomes) = match into_text(content, context, disclaimers, &matchers, &wanted) {
        Ok(inserted) => inserted,
        Err(reason) => handle_uneditable(content, context, disclaimers, &wanted, reason),
    };
    for (index, outcome) in outcomes {
        let entry = &mut report[index];
        (entry.outcome, entry.reason) = outcome;
        if entry.outcome != Outcome::Skipped {
            entry.places.clone_from(&edit.places);
        }
    }
    Insertion {
        body: edit.body,
        headers: edit.headers,
        reports: report,
    }
}

/// The changed message, and the media types of the parts that changed.
#[derive(Default)]
struct Edit {
    body: Option<Vec<u8>>,
    headers: Vec<HeaderEdit>,
    places: Vec<String>,
}

/// The outcome for each disclaimer, by index.
type Outcomes = Vec<(usize, (Outcome, Option<Reason>))>;

fn is_empty(disclaimer: &Disclaimer) -> bool {
    disclaimer.text.trim().is_empty()
        && disclaimer
            .html
            .as_deref()
            .is_none_or(|html| html.trim().is_empty())
}

fn skipped(disclaimer: &Disclaimer, reason: Reason) -> DisclaimerReport {
    DisclaimerReport {
        id: disclaimer.id.clone(),
        outcome: Outcome::Skipped,
        places: Vec::new(),
        reason: Some(reason),
    }
}

fn into_text(
    content: &Content,
    context: &Context,
    disclaimers: &[Disclaimer],
    matchers: &[DisclaimerMatcher],
    wanted: &[usize],
) -> Result<(Edit, Outcomes), Reason> {
    let targets = walk::targets(content, context)?;
    let structure = content.structure();
    let body = content.body();
    let open = |&target: &usize| Leaf::open(&structure.parts()[target], body);
    let leaves = targets
        .iter()
        .map(open)
        .collect::<Result<Vec<_>, Reason>>()?;
    let replies = content.has_trait("reply");
    let mut present = vec![false; matchers.len()];
    for leaf in &leaves {
        for (disclaimer, found) in present.iter_mut().zip(leaf.has(matchers, replies)) {
            *disclaimer |= found;
        }
    }
    let missing: Vec<usize> = wanted
        .iter()
        .copied()
        .filter(|&index| !present[index])
        .collect();
    let outcome_of = |&index: &usize| match present[index] {
        true => (index, (Outcome::Skipped, Some(Reason::AlreadyPresent))),
        false => (index, (Outcome::Inserted, None)),
    };
    let outcomes = wanted.iter().map(outcome_of).collect();
    if missing.is_empty() {
        return Ok((Edit::default(), outcomes));
    }
    let disclaimers: Vec<SearchableDisclaimer<'_>> = missing
        .iter()
        .map(|&index| (&disclaimers[index], &matchers[index]))
        .collect();
    let edits = leaves
        .iter()
        .zip(&targets)
        .map(|(leaf, &target)| leaf.insert(&disclaimers, target == 0))
        .collect::<Result<Vec<_>, Reason>>()?;
    let mut edit = assemble(content, &targets, edits)?;
    edit.places = targets
        .iter()
        .map(|&part| structure.parts()[part].media().essence().to_owned())
        .collect();
    let after = header_after(content, &edit.headers);
    match verify_untouched(
        content,
        &after,
        edit.body.as_deref().unwrap_or(body),
        &targets,
    ) {
        true => Ok((edit, outcomes)),
        false => Err(Reason::SelfCheck),
    }
}

/// Handles a message whose text cannot be edited: wrapped if this is configured and safe, otherwise unchanged.
fn handle_uneditable(
    content: &Content,
    context: &Context,
    disclaimers: &[Disclaimer],
    wanted: &[usize],
    reason: Reason,
) -> (Edit, Outcomes) {
    let settings = &context.settings;
    let choice = if reason == Reason::Encrypted {
        settings.encrypted
    } else {
        settings.uneditable
    };
    let outcomes = |outcome, reason| {
        wanted
            .iter()
            .map(|&index| (index, (outcome, Some(reason))))
            .collect()
    };
    if choice == UneditableAction::Leave || !reason.allows_wrapping() {
        return (Edit::default(), outcomes(Outcome::Skipped, reason));
    }
    let disclaimers: Vec<&Disclaimer> = wanted.iter().map(|&index| &disclaimers[index]).collect();
    let (body, headers) = wrap::wrap(content, &disclaimers);
    if !verify_wrapped(content, &header_after(content, &headers), &body) {
        return (
            Edit::default(),
            outcomes(Outcome::Skipped, Reason::SelfCheck),
        );
    }
    let edit = Edit {
        body: Some(body),
        headers,
        places: vec!["text/plain".to_owned()],
    };
    (edit, outcomes(Outcome::Wrapped, reason))
}

/// The header after some edits, as a message without a body.
fn header_after(content: &Content, headers: &[HeaderEdit]) -> Content {
    let header = Content::new(content.bytes()[..content.body_offset()].to_vec());
    let edits = Edits {
        headers: headers.to_vec(),
        ..Edits::default()
    };
    Content::new(edits.apply(&header))
}

/// The body with the changed parts, and the edits of the header.
fn assemble(content: &Content, targets: &[usize], edits: Vec<LeafEdit>) -> Result<Edit, Reason> {
    let mut plan = HeaderPlan::new(content);
    let mut splices = Vec::new();
    for (&target, edit) in targets.iter().zip(edits) {
        if target == 0 {
            relabel_message(content, &mut plan, &edit)?;
        } else if edit.charset.is_some() || edit.encoding.is_some() {
            let range = content.structure().parts()[target].header();
            let header =
                parameter::relabel(&content.body()[range.clone()], edit.charset, edit.encoding);
            splices.push((range, header.ok_or(Reason::UneditableType)?));
        }
        splices.push(part_body(content, target, edit));
    }
    plan.remove_all("Content-Length");
    plan.remove_all("Content-MD5");
    let body = replace_ranges(content.body(), splices);
    Ok(Edit {
        body: Some(body),
        headers: plan.into_edits(),
        places: Vec::new(),
    })
}

/// A body with some of its ranges replaced.
pub(super) fn replace_ranges(body: &[u8], mut splices: Vec<(Range<usize>, Vec<u8>)>) -> Vec<u8> {
    splices.sort_by_key(|(range, _)| (range.start, range.end));
    let added: usize = splices.iter().map(|(_, bytes)| bytes.len()).sum();
    work::spend(body.len() + added);
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for (range, bytes) in splices {
        out.extend_from_slice(&body[from..range.start]);
        out.extend_from_slice(&bytes);
        from = range.end;
    }
    out.extend_from_slice(&body[from..]);
    out
}

fn part_body(content: &Content, target: usize, edit: LeafEdit) -> (Range<usize>, Vec<u8>) {
    let range = content.structure().parts()[target].body();
    let mut bytes = edit.body;
    // There may be no line end between an empty body and the delimiter.
    if target != 0 && content.body()[range.end..].starts_with(b"--") {
        bytes.extend_from_slice(b"\r\n");
    }
    (range, bytes)
}

/// Changes the labels of a message that is one text part: they are header fields.
fn relabel_message(
    content: &Content,
    plan: &mut HeaderPlan<'_>,
    edit: &LeafEdit,
) -> Result<(), Reason> {
    if edit.charset.is_none() && edit.encoding.is_none() {
        return Ok(());
    }
    if let Some(charset) = edit.charset {
        let value = match content.fields_named("Content-Type").next() {
            Some(field) => parameter::with_charset(content.value_of(field), charset)
                .ok_or(Reason::UneditableType)?,
            None => format!(" text/plain; charset={charset}").into_bytes(),
        };
        plan.set("Content-Type", value);
    }
    if let Some(encoding) = edit.encoding {
        plan.set(
            "Content-Transfer-Encoding",
            format!(" {}", encoding.as_str()).into_bytes(),
        );
    }
    if content.count_named("MIME-Version") == 0 {
        plan.append("MIME-Version", b" 1.0".to_vec());
    }
    Ok(())
}
