//! Application of a decision as edits: header, disclaimers, transport encoding, DKIM, envelope and route. In this order, so
//! that nothing changes after signing.

use std::borrow::Cow;

use thiserror::Error;

use super::resolve::{RecipientScope, ResolvedRoute};
use super::route::route_header;
use super::snapshot::PolicySnapshot;
use super::split;
use crate::config::Relay;
use crate::dkim::{self, AlignmentError, SignError, Signed, Unaligned};
use crate::relay;
use waxseal_core::decision::Decision;
use waxseal_core::edit::{
    self, Context, DisclaimerReport, Edits, HeaderEdit, Settings, Stamp, TransientHeader,
    Transport, UneditableAction,
};
use waxseal_core::message::SPLIT_FIELD;
use waxseal_core::message::{Content, Message, ReversePath};

/// Why a decision could not be applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// There is no key for a signature of the decision.
    #[error(
        "no DKIM key for {0}: create one with `waxseal dkim new {0}`, publish its record, and reload"
    )]
    NoKey(String),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A signature of the decision is not aligned with the author.
    #[error(transparent)]
    Unaligned(#[from] Unaligned),
}

impl From<AlignmentError> for ApplyError {
    fn from(error: AlignmentError) -> Self {
        match error {
            AlignmentError::Unaligned(error) => Self::Unaligned(error),
            AlignmentError::Message(error) => Self::Sign(error),
        }
    }
}

impl ApplyError {
    /// Kind of the error, for statistics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "no-key",
            Self::Sign(_) => "signing",
            Self::Unaligned(_) => "unaligned",
        }
    }

    /// Whether the message is the cause, so that a retry cannot succeed.
    pub fn is_of_message(&self) -> bool {
        matches!(self, Self::Sign(error) if error.is_of_message())
    }
}

/// The resulting edits and their report.
pub(super) struct AppliedEdits {
    pub(super) edits: Edits,
    pub(super) transient_headers: Vec<TransientHeader>,
    pub(super) author: Option<String>,
    pub(super) signatures: Vec<Signed>,
    pub(super) disclaimers: Vec<DisclaimerReport>,
    pub(super) reasons: Vec<String>,
}

pub(super) fn apply(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    resolved: &ResolvedRoute,
) -> Result<AppliedEdits, ApplyError> {
    let mut reasons = Vec::new();
    let relay = resolved
        .relay
        .as_ref()
        .and_then(|name| snapshot.relays().get(name.as_str()));
    let mut edits = Edits {
        headers: header_edits(snapshot, message, decision),
        ..Edits::default()
    };
    let disclaimers = insert_disclaimers(snapshot, message, decision, &mut edits);
    make_transport_safe(snapshot, message, decision, relay, &mut edits, &mut reasons);
    let edited = match edits.applied(&message.content) {
        Cow::Borrowed(_) => None,
        Cow::Owned(edited) => Some(Content::new(edited)),
    };
    let edited = edited.as_ref().unwrap_or(&message.content);
    let signatures = sign(snapshot, message, decision, edited)?;
    let author = edited.header("From").into_iter().next();
    // Prepending reverses the order: the first signature must be the topmost.
    for signature in signatures.iter().rev() {
        let value = signature.value.clone();
        edits.headers.push(HeaderEdit::Prepend {
            name: "DKIM-Signature".into(),
            value,
        });
    }
    edits.sender =
        (resolved.return_path != message.envelope.sender).then(|| resolved.return_path.clone());
    edits.add_recipients.clone_from(&resolved.copies);
    let transient_headers = route(snapshot, message, resolved, relay, &mut edits);
    Ok(AppliedEdits {
        edits,
        transient_headers,
        author,
        signatures,
        disclaimers,
        reasons,
    })
}

fn header_edits(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
) -> Vec<HeaderEdit> {
    let stamp = Stamp {
        hostname: &snapshot.config().hostname,
        arrival: message.arrival,
        queue_id: &message.envelope.queue_id,
    };
    edit::header_edits(&message.content, decision, &stamp)
}

fn insert_disclaimers(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    edits: &mut Edits,
) -> Vec<DisclaimerReport> {
    let editing = &snapshot.config().editing;
    let uneditable = if editing.wrap {
        UneditableAction::Wrap
    } else {
        UneditableAction::Leave
    };
    let context = Context {
        null_sender: message.envelope.sender == ReversePath::Null,
        settings: Settings {
            uneditable,
            encrypted: uneditable,
            replies: editing.replies,
            lists: editing.lists,
        },
    };
    let inserted = edit::insert(&message.content, &context, &decision.disclaimers);
    edits.headers.extend(inserted.headers);
    edits.body = inserted.body;
    inserted.reports
}

/// Applies changes that a later hop would make, because they would break the signature.
fn make_transport_safe(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    relay: Option<&Relay>,
    edits: &mut Edits,
    reasons: &mut Vec<String>,
) {
    let eight_bit = relay.map_or(snapshot.config().default_route.eight_bit, |relay| {
        relay.eight_bit
    });
    let transport = Transport {
        seven_bit: !eight_bit,
        signed: !decision.sign.is_empty(),
    };
    let body = edits.body.as_deref().unwrap_or(message.content.body());
    if !transport.seven_bit && (!transport.signed || edit::is_safe(body, transport)) {
        return;
    }
    let edited = Content::new(edits.apply(&message.content));
    let prepared = edit::prepare(&edited, transport);
    if prepared.body.is_some() {
        edits.body = prepared.body;
    }
    edits.headers.extend(prepared.headers);
    reasons.extend(prepared.warnings.iter().map(ToString::to_string));
}

/// Signs the message as it will be sent.
fn sign(
    snapshot: &PolicySnapshot,
    message: &Message,
    decision: &Decision,
    edited: &Content,
) -> Result<Vec<Signed>, ApplyError> {
    if decision.sign.is_empty() {
        return Ok(Vec::new());
    }
    let dkim = &snapshot.config().dkim;
    let mut domains = Vec::new();
    let mut keys = Vec::new();
    for domain in &decision.sign {
        let no_key = || ApplyError::NoKey(domain.clone());
        match snapshot.keys().for_domain(domain) {
            [] => return Err(no_key()),
            of_domain => keys.extend_from_slice(of_domain),
        }
        domains.push(domain.parse().map_err(|_| no_key())?);
    }
    let authors = dkim::author_domains(edited)?;
    dkim::aligned(&authors, &domains, snapshot.keys(), &dkim.allow_unaligned)?;
    let signed = dkim::sign(edited.bytes(), &keys, message.arrival, dkim.expire)?;
    Ok(signed)
}

/// The route header: directly to the relay, or through the split listener if some recipients are local.
fn route(
    snapshot: &PolicySnapshot,
    message: &Message,
    resolved: &ResolvedRoute,
    relay: Option<&Relay>,
    edits: &mut Edits,
) -> Vec<TransientHeader> {
    let Some(relay) = relay else {
        return Vec::new();
    };
    let destination = match (resolved.scope, snapshot.split_smtpd()) {
        (RecipientScope::Mixed, Some(smtpd)) => {
            let sealed = split::seal(snapshot, &relay.name, message);
            edits.headers.push(HeaderEdit::Append {
                name: SPLIT_FIELD.to_owned(),
                value: format!(" {sealed}").into_bytes(),
            });
            relay::split_destination(smtpd)
        }
        _ => relay::destination(relay),
    };
    vec![route_header(&destination)]
}
