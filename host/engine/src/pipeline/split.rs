//! Routing of messages that return for one recipient at a time (listeners of mode `split`).
//!
//! The route is stored in the message itself, in a sealed header field, so that no state is necessary: after a restart or a
//! loss of data, a message in the MTA's queue still has its route. The field is removed here, and a message without a valid
//! field is never routed: a local process may connect to the listener, but cannot choose a route.
//!
//! A message that cannot be routed stays in the MTA's queue (451) and is never returned to its sender: it may be sealed with a
//! secret that was lost and can be restored, or for a relay that was removed from the configuration.

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

/// Seals the relay for the copies of remote recipients.
pub(super) fn seal(snapshot: &PolicySnapshot, relay: &RelayName, message: &Message) -> String {
    let payload = format!("{relay} {}", message.envelope.queue_id);
    seal::seal(&snapshot.secrets().split, &payload)
}

/// Why a copy cannot be routed now. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unroutable {
    /// It has no valid sealed route.
    #[error(
        "the message has no route that was sealed with the current secret. If Waxseal routed it before, the secret was \
         replaced: restore {} from a backup and restart. To send the message by the default route instead, run: \
         postsuper -r {}",
        .secret.display(),
        queue_id(.claimed.as_deref())
    )]
    UnknownSeal {
        /// Path of the secret.
        secret: PathBuf,
        /// The queue id that the message claims for its first pass. It is not authenticated.
        claimed: Option<String>,
    },
    /// The relay was removed from the configuration.
    #[error(
        "relay {relay} of this copy was removed from waxseal.toml, so it is deferred. Restore the relay; or, to send it by \
         the default route, run: postsuper -r {first_queue_id}"
    )]
    NoRelay {
        /// Name of the relay.
        relay: String,
        /// Queue id of the first pass.
        first_queue_id: String,
    },
}

fn queue_id(claimed: Option<&str>) -> &str {
    claimed.unwrap_or("QUEUE_ID, with the id under which `postqueue -p` lists it")
}

/// The route of a copy.
#[derive(Debug)]
pub(super) struct Returned {
    /// Removes the sealed field.
    pub(super) edits: Edits,
    /// The route of a copy for a remote recipient.
    pub(super) transient_headers: Vec<TransientHeader>,
    /// The relay of a copy for a remote recipient; `None` for a local one.
    pub(super) relay: Option<RelayName>,
    /// Queue id of the first pass.
    pub(super) first_queue_id: String,
}

/// Routes a returned copy: by the sealed relay if any of its recipients is remote, otherwise not at all.
///
/// # Errors
///
/// If it has no valid sealed field, or its relay was removed.
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
        // The default route would deliver it from another address than the one it was decided for. A message for one side only
        // also stays in Postfix's queue if its transport is missing.
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

/// The queue id in a seal of any secret, if it has the form of one: it is displayed to an administrator, and anybody can have
/// written it.
fn claimed_queue_id(value: &[u8]) -> Option<String> {
    let payload = seal::claimed(std::str::from_utf8(value).ok()?)?;
    let (_, queue_id) = payload.split_once(' ')?;
    let plausible = (5..=20).contains(&queue_id.len())
        && queue_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then(|| queue_id.to_owned())
}
