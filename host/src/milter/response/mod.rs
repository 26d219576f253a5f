//! What was decided, in the milter's words: one buffer, to be written at once.
//!
//! Two writes would cost 45 to 90 ms a message over TCP, and an MTA that is set
//! to accept when a milter dies would send a message on with half of its edits.
//! So either everything can be said to this MTA and is, or nothing is said and
//! the error tells what it cannot do.

mod headers;
mod smtp;
#[cfg(test)]
mod tests;

use thiserror::Error;

use super::codec::{LARGEST_REPLY, Reply, ReplyTooLong, actions};
use super::filter::Response;
use super::negotiation::Negotiated;
use super::session::HeaderNames;
use crate::decision::Verdict;
use crate::edit::{Edits, HeaderEdit};

/// The MTA cannot do what was decided; nothing was said to it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The MTA did not offer an action.
    #[error(
        "the MTA does not let milters {what} (version {version} of the milter protocol); let it offer that action, or change the settings that need it"
    )]
    NotOffered {
        /// What it would have to do.
        what: &'static str,
        /// Version in use.
        version: u32,
    },
    /// A field, an address or a text that no reply can carry.
    #[error(transparent)]
    TooLong(#[from] ReplyTooLong),
    /// A NUL ends every text of the protocol.
    #[error("the {0} holds a NUL byte, which the milter protocol cannot carry")]
    Nul(&'static str),
    /// The MTA and we do not agree on which fields the header has, so a field
    /// cannot be named.
    #[error(
        "the header cannot be mapped: the MTA counts {by_mta} fields, the message shows {by_us}; it is not edited"
    )]
    HeaderMismatch {
        /// Fields that the MTA sent.
        by_mta: usize,
        /// Fields that were found in the message.
        by_us: usize,
    },
    /// The body was not collected and yet is to be changed.
    #[error("the body is to be changed, but only the header was asked for")]
    BodyNotCollected,
}

/// What a message looks like to the MTA, as far as edits go.
#[derive(Clone, Copy, Debug)]
pub struct MessageShape<'a> {
    /// Its header fields.
    pub names: &'a HeaderNames,
    /// How many fields [`Content`](crate::message::Content) found.
    pub fields: usize,
    /// The body was collected.
    pub body: bool,
}

/// Appends all edits and the final reply to `out`.
///
/// # Errors
///
/// Something cannot be said to this MTA; `out` is as it was.
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
        // What is refused or thrown away needs no edits.
        Verdict::Reject(_) | Verdict::Defer(_) | Verdict::Discard => Ok(()),
    };
    match result {
        Ok(()) => write_verdict(&answer.verdict, out),
        Err(_) => out.truncate(start),
    }
    result
}

/// Appends the final reply that a verdict comes to, without edits. A message
/// that is held must have been put on hold before.
pub(super) fn write_verdict(verdict: &Verdict, out: &mut Vec<u8>) {
    match verdict {
        Verdict::Accept | Verdict::Hold(_) => write_step(&Reply::Accept, out),
        Verdict::Discard => write_step(&Reply::Discard, out),
        Verdict::Reject(reply) | Verdict::Defer(reply) => {
            write_step(&Reply::Code(&smtp::reply_text(reply)), out);
        }
    }
}

/// The same for a message whose content was not kept. It cannot be held, and
/// must not slip by.
pub(super) fn write_failure(verdict: &Verdict, out: &mut Vec<u8>) {
    match verdict {
        Verdict::Hold(_) => write_step(&Reply::TemporaryFailure, out),
        verdict => write_verdict(verdict, out),
    }
}

/// Appends a reply whose length is known to be no trouble.
pub(super) fn write_step(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let written = reply.encode(out);
    debug_assert_eq!(written, Ok(()));
}

fn hold(reason: &str, negotiated: &Negotiated, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    offered(negotiated, actions::QUARANTINE, "put messages on hold")?;
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
        offered(
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
        offered(negotiated, actions::CHANGE_BODY, "replace the body")?;
        replace_body(body, out)?;
    }
    Ok(())
}

/// Naming a field by number is safe only where both sides count the same.
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

/// A copy that nobody was told of must not report to the sender either: where
/// the MTA takes parameters, no delivery status is asked for (RFC 3461).
fn add_recipient(
    address: &str,
    negotiated: &Negotiated,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if negotiated.allows(actions::ADD_RECIPIENTS_PARAMETERS) {
        Reply::AddRecipientParameters(address.as_bytes(), b"NOTIFY=NEVER").encode(out)?;
    } else {
        offered(negotiated, actions::ADD_RECIPIENTS, "add recipients")?;
        Reply::AddRecipient(address.as_bytes()).encode(out)?;
    }
    Ok(())
}

/// The chunks follow each other with nothing between them; an empty body is one
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

fn offered(negotiated: &Negotiated, action: u32, what: &'static str) -> Result<(), EncodeError> {
    if negotiated.allows(action) {
        Ok(())
    } else {
        Err(EncodeError::NotOffered {
            what,
            version: negotiated.version(),
        })
    }
}
