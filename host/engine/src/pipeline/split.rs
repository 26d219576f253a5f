//! A message that comes back one recipient at a time (listeners of mode
//! `split`).
//!
//! What was decided travels with the message, in a sealed header field, so that
//! nothing has to be remembered: whatever is restarted or lost on our side, a
//! message in the MTA's queue still knows where it goes. The field is taken out
//! here, and what has none that we sealed is never routed: a local process may
//! reach the listener, but cannot make it route.
//!
//! What cannot be routed waits in the MTA's queue (451) and is never returned to
//! its sender: the message may well be ours, sealed with a secret that was lost
//! and can be restored, or for a relay that is in the configuration no longer.

use std::path::PathBuf;

use thiserror::Error;

use super::route::route_header;
use super::snapshot::PolicySnapshot;
use crate::config::RelayName;
use crate::crypto::seal;
use crate::crypto::secret::SECRET_FILE;
use crate::relay;
use waxseal_core::edit::{Edits, HeaderEdit, TransientHeader};
use waxseal_core::message::Message;
use waxseal_core::message::SPLIT_FIELD;

/// Seals the relay that the outside copies of a message go by.
pub(super) fn seal(snapshot: &PolicySnapshot, relay: &RelayName, message: &Message) -> String {
    let payload = format!("{relay} {}", message.envelope.queue_id);
    seal::seal(&snapshot.secrets().split, &payload)
}

/// Why a copy cannot be routed now. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unroutable {
    /// It has no seal of ours.
    #[error(
        "no route that was sealed with the present secret is in this message. If Waxseal routed it before, the secret \
         was replaced meanwhile: restore {} from a backup and restart. To give the route up and send it by the default \
         route, type: postsuper -r {}",
        .secret.display(),
        queue_id(.claimed.as_deref())
    )]
    UnknownSeal {
        /// The file of the secret.
        secret: PathBuf,
        /// The queue id that the message claims to have waited under. Nothing
        /// proves it.
        claimed: Option<String>,
    },
    /// The relay was taken out of the configuration meanwhile.
    #[error(
        "relay {relay}, by which this copy was to go, is not in waxseal.toml any more, so it waits. Put the relay back; or, \
         to send it by the default route, type: postsuper -r {first_queue_id}"
    )]
    NoRelay {
        /// Name of the relay.
        relay: String,
        /// Queue id of the first pass, under which the message waits.
        first_queue_id: String,
    },
}

fn queue_id(claimed: Option<&str>) -> &str {
    claimed.unwrap_or("QUEUE_ID, with the id under which `postqueue -p` lists it")
}

/// What is to be done with a copy.
#[derive(Debug)]
pub(super) struct Returned {
    /// Takes the sealed field out.
    pub(super) edits: Edits,
    /// The route of an outside copy.
    pub(super) transient_headers: Vec<TransientHeader>,
    /// The relay of an outside copy; none stays with the MTA.
    pub(super) relay: Option<RelayName>,
    /// Queue id of the first pass.
    pub(super) first_queue_id: String,
}

/// Routes a copy that came back: by the relay sealed in it if any of its
/// recipients is outside, else not at all.
///
/// # Errors
///
/// When no field of ours is in it, or its relay is gone.
pub(super) fn route_returned(
    snapshot: &PolicySnapshot,
    message: &Message,
) -> Result<Returned, Unroutable> {
    let fields: Vec<_> = message.content.fields_named(SPLIT_FIELD).collect();
    let opened = fields.iter().find_map(|field| {
        let value = std::str::from_utf8(message.content.value_of(field)).ok()?;
        seal::open(&snapshot.secrets().split, value.trim())
    });
    let (name, first_queue_id) = match opened
        .as_deref()
        .and_then(|payload| payload.split_once(' '))
    {
        Some((name, queue_id)) => (name.to_owned(), queue_id.to_owned()),
        None => {
            return Err(Unroutable::UnknownSeal {
                secret: snapshot.config().state.join(SECRET_FILE),
                claimed: fields
                    .iter()
                    .find_map(|field| claimed_queue_id(message.content.value_of(field))),
            });
        }
    };
    let remove = (0..fields.len()).map(|_| HeaderEdit::Remove {
        name: SPLIT_FIELD.to_owned(),
        nth: 1,
    });
    let outside = message
        .envelope
        .recipients
        .iter()
        .any(|recipient| !recipient.local);
    let relay = match snapshot.relays().get(&name) {
        _ if !outside => None,
        Some(relay) => Some(relay),
        // The default route would take it out by another address than the
        // one it was decided for. A message for one side alone waits in
        // Postfix, too, when its transport is gone.
        None => {
            return Err(Unroutable::NoRelay {
                relay: name,
                first_queue_id,
            });
        }
    };
    Ok(Returned {
        edits: Edits {
            headers: remove.collect(),
            ..Edits::default()
        },
        transient_headers: relay
            .map(|relay| route_header(&relay::destination(relay)))
            .into_iter()
            .collect(),
        relay: relay.map(|relay| relay.name.clone()),
        first_queue_id,
    })
}

/// The queue id that a seal of any secret names, if it can be one: it is shown
/// to an administrator, and anybody can have written it.
fn claimed_queue_id(value: &[u8]) -> Option<String> {
    let payload = seal::claimed(std::str::from_utf8(value).ok()?)?;
    let (_, queue_id) = payload.split_once(' ')?;
    let plausible = (5..=20).contains(&queue_id.len())
        && queue_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then(|| queue_id.to_owned())
}
