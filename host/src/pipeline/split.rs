//! A message that comes back one recipient at a time (listeners of mode
//! `split`).
//!
//! What was decided travels with the message, in a sealed header field, so that
//! nothing has to be remembered: whatever is restarted or lost on our side, a
//! message in the MTA's queue still knows where it goes. The field is taken out
//! here, and what carries none that we sealed is refused: a local process may
//! reach the listener, but cannot make it route.

use thiserror::Error;

use super::carry::route_mark;
use super::generation::Generation;
use crate::config::RelayName;
use crate::edit::{Edits, HeaderEdit, Mark};
use crate::message::Message;
use crate::store::seal;
use crate::{SPLIT_FIELD, relay};

/// Seals the relay that the outside copies of a message go by.
pub(super) fn seal(generation: &Generation, relay: &RelayName, message: &Message) -> String {
    let payload = format!("{relay} {}", message.envelope.queue_id);
    seal::seal(&generation.secrets().split, &payload)
}

/// The message did not come from our own first pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message carries no route that was sealed here")]
pub struct Forged;

/// What is to be done with a copy.
#[derive(Debug)]
pub struct Returned {
    /// Takes the sealed field out.
    pub edits: Edits,
    /// The route of an outside copy.
    pub marks: Vec<Mark>,
    /// The relay of an outside copy; none stays with the MTA.
    pub relay: Option<RelayName>,
    /// Queue id of the first pass.
    pub first_queue_id: String,
}

impl Generation {
    /// Routes a copy that came back: by the relay sealed in it if any of its
    /// recipients is outside, else not at all.
    ///
    /// # Errors
    ///
    /// When no field of ours is in it.
    pub fn route_returned(&self, message: &Message) -> Result<Returned, Forged> {
        let fields: Vec<_> = message.content.fields_named(SPLIT_FIELD).collect();
        let opened = fields.iter().find_map(|field| {
            let value = std::str::from_utf8(message.content.value_of(field)).ok()?;
            seal::open(&self.secrets().split, value.trim())
        });
        let (name, first_queue_id) = match opened
            .as_deref()
            .and_then(|payload| payload.split_once(' '))
        {
            Some((name, queue_id)) => (name.to_owned(), queue_id.to_owned()),
            None => return Err(Forged),
        };
        let remove = (0..fields.len()).map(|_| HeaderEdit::Remove {
            name: SPLIT_FIELD.to_owned(),
            nth: 1,
        });
        let outside = message
            .envelope
            .recipients
            .iter()
            .any(|recipient| !recipient.inside);
        // A relay that was taken out of the configuration meanwhile: the copy
        // takes the default route rather than none.
        let relay = self.config().relay(&name).filter(|_| outside);
        Ok(Returned {
            edits: Edits {
                headers: remove.collect(),
                ..Edits::default()
            },
            marks: relay
                .map(|relay| route_mark(&relay::destination(relay)))
                .into_iter()
                .collect(),
            relay: relay.map(|relay| relay.name.clone()),
            first_queue_id,
        })
    }
}
