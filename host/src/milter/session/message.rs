//! A complete message, before the filter gets it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::message::{Client, Content, MAXIMUM_PARTS, ReversePath};
use crate::milter::filter::Filter;
use crate::milter::header_names::HeaderNames;
use crate::milter::listener::Listener;
use crate::milter::negotiation::Negotiated;
use crate::milter::submission::{InvalidAddress, Recipient, Submission};

/// Copies of a message beside the collected one while it is processed: the edited
/// body, the message that is signed, the reply with the new body, and one for
/// what encodings add.
const COPIES: usize = 4;

/// Bytes of memory for a header field while the message is processed: its place
/// in each map of the header, and in the signed one.
const FIELD: usize = 400;

/// Bytes of memory for a MIME part.
const PART: usize = 450;

/// A message that the filter is to decide on.
pub struct EndOfMessage<F: Filter> {
    /// What it is decided with.
    pub transaction: F::Transaction,
    /// The message.
    pub collected: Collected,
    /// How long it may be processed; none leaves that to the server.
    pub time: Option<Duration>,
    /// How the MTA counts its header fields.
    pub names: HeaderNames,
    /// What was agreed with the MTA.
    pub negotiated: Negotiated,
}

/// A message that has come in whole. Nothing has been done with its content yet.
#[derive(Debug)]
pub struct Collected {
    pub(super) listener: Arc<Listener>,
    pub(super) queue_id: String,
    pub(super) mta: Option<Arc<str>>,
    pub(super) submitted_locally: bool,
    pub(super) client: Client,
    pub(super) sender: Result<ReversePath, InvalidAddress>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) arrival: Timestamp,
    pub(super) bytes: Vec<u8>,
    pub(super) body_collected: bool,
    pub(super) header_fields: usize,
    pub(super) delimiters: usize,
    /// Bytes of memory for what is collected.
    pub(super) held: usize,
}

impl Collected {
    /// Bytes of the message.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory that the message takes at most while it is processed.
    pub fn cost(&self) -> usize {
        let parts = self.delimiters.min(MAXIMUM_PARTS);
        self.held + COPIES * self.bytes.len() + FIELD * self.header_fields + PART * parts
    }

    /// The message as the filter gets it. Maps its header.
    pub fn submission(self) -> Submission {
        Submission {
            listener: self.listener,
            queue_id: self.queue_id,
            mta: self.mta,
            client: self.client,
            submitted_locally: self.submitted_locally,
            sender: self.sender,
            recipients: self.recipients,
            arrival: self.arrival,
            content: Content::new(self.bytes),
            body_collected: self.body_collected,
        }
    }
}
