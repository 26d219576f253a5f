//! Encoding of a response: edits and final reply, all or nothing.

use super::error::{EncodeError, require};
use super::{headers, smtp};
use crate::codec::{LARGEST_REPLY, Reply, actions};
use crate::filter::Response;
use crate::header_names::HeaderNames;
use crate::negotiation::Negotiated;
use waxseal_core::decision::Verdict;
use waxseal_core::edit::{Edits, HeaderEdit};

/// The parts of a message that its edits depend on.
#[derive(Clone, Copy, Debug)]
pub struct MessageShape<'a> {
    /// Its header fields, as counted by the MTA.
    pub names: &'a HeaderNames,
    /// Number of fields found by [`Content`](waxseal_core::message::Content).
    pub fields: usize,
    /// The body was collected.
    pub body: bool,
}

/// Appends all edits and the final reply to `out`.
///
/// # Errors
///
/// The response cannot be encoded for this MTA; `out` is unchanged.
pub fn encode(
    answer: &Response,
    negotiated: &Negotiated,
    shape: MessageShape<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let result = match &answer.verdict {
        Verdict::Accept => edits(answer, negotiated, shape, out),
        Verdict::Hold(reason) => {
            edits(answer, negotiated, shape, out).and_then(|()| hold(reason, negotiated, out))
        }
        // Rejected, deferred and discarded messages are not edited.
        Verdict::Reject(_) | Verdict::Defer(_) | Verdict::Discard => Ok(()),
    };
    match result {
        Ok(()) => encode_verdict(&answer.verdict, out),
        Err(_) => out.truncate(start),
    }
    result
}

/// Appends the final reply of a verdict. The quarantine reply of a held message
/// precedes it.
fn encode_verdict(verdict: &Verdict, out: &mut Vec<u8>) {
    match verdict {
        Verdict::Accept | Verdict::Hold(_) => Reply::Accept.encode_short(out),
        Verdict::Discard => Reply::Discard.encode_short(out),
        Verdict::Reject(reply) | Verdict::Defer(reply) => {
            Reply::Code(&smtp::reply_text(reply)).encode_short(out);
        }
    }
}

/// Appends the final reply for a message that was not collected. It cannot be held,
/// and is deferred instead.
pub(crate) fn encode_failure(verdict: &Verdict, out: &mut Vec<u8>) {
    match verdict {
        Verdict::Hold(_) => Reply::TemporaryFailure.encode_short(out),
        verdict => encode_verdict(verdict, out),
    }
}

fn hold(reason: &str, negotiated: &Negotiated, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    require(negotiated, actions::QUARANTINE, "put messages on hold")?;
    let reason = smtp::one_line(reason);
    Ok(Reply::Quarantine(reason.as_bytes()).encode(out)?)
}

fn edits(
    answer: &Response,
    negotiated: &Negotiated,
    shape: MessageShape<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let Edits {
        sender,
        add_recipients,
        headers,
        body,
    } = &answer.edits;
    check_header(headers, shape)?;
    headers::write(
        headers,
        &answer.transient_headers,
        negotiated,
        shape.names,
        out,
    )?;
    if let Some(sender) = sender {
        require(
            negotiated,
            actions::CHANGE_FROM,
            "change the envelope sender",
        )?;
        Reply::ChangeFrom(sender.to_string().as_bytes()).encode(out)?;
    }
    for recipient in add_recipients {
        add_recipient(&format!("<{recipient}>"), negotiated, out)?;
    }
    if let Some(body) = body {
        if !shape.body {
            return Err(EncodeError::BodyNotCollected);
        }
        require(negotiated, actions::CHANGE_BODY, "replace the body")?;
        replace_body(body, out)?;
    }
    Ok(())
}

/// An index is valid only if both sides count the same fields.
fn check_header(headers: &[HeaderEdit], shape: MessageShape<'_>) -> Result<(), EncodeError> {
    let by_number = headers
        .iter()
        .any(|edit| matches!(edit, HeaderEdit::Replace { .. } | HeaderEdit::Remove { .. }));
    if by_number && shape.names.len() != shape.fields {
        return Err(EncodeError::HeaderMismatch {
            by_mta: shape.names.len(),
            by_us: shape.fields,
        });
    }
    Ok(())
}

/// An added recipient must not cause a report to the sender: where the MTA accepts
/// parameters, no delivery status is requested (RFC 3461).
fn add_recipient(
    address: &str,
    negotiated: &Negotiated,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if negotiated.allows(actions::ADD_RECIPIENTS_PARAMETERS) {
        Reply::AddRecipientParameters(address.as_bytes(), b"NOTIFY=NEVER").encode(out)?;
    } else {
        require(negotiated, actions::ADD_RECIPIENTS, "add recipients")?;
        Reply::AddRecipient(address.as_bytes()).encode(out)?;
    }
    Ok(())
}

/// Chunks follow each other without another reply between them; an empty body is one
/// empty chunk.
fn replace_body(body: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.reserve(body.len() + 5 * (body.len() / LARGEST_REPLY + 1));
    if body.is_empty() {
        Reply::ReplaceBody(b"").encode(out)?;
    }
    for chunk in body.chunks(LARGEST_REPLY) {
        Reply::ReplaceBody(chunk).encode(out)?;
    }
    Ok(())
}
