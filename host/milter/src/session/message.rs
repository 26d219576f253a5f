//! A complete message, before it is passed to the filter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use std::time::SystemTime;

use crate::filter::Filter;
use crate::header_names::HeaderNames;
use crate::listener::Listener;
use crate::negotiation::Negotiated;
use crate::submission::{Recipient, Submission};
use waxseal_core::message::{Client, Content, InvalidAddress, MAXIMUM_PARTS, ReversePath};

/// Copies of a message during processing, besides the collected one: the edited body,
/// the message that is signed, the reply with the new body, and one for the growth by
/// encodings.
const COPIES: usize = 4;

/// Bytes of memory for a header field during processing: its entries in each map of
/// the header, and in the signed one.
const FIELD: usize = 400;

/// Bytes of memory for a MIME part.
const PART: usize = 450;

/// A complete message, to be processed.
pub struct EndOfMessage<F: Filter> {
    /// State of the filter for this message.
    pub transaction: F::Transaction,
    /// The message.
    pub collected: Collected,
    /// Processing timeout; `None` is that of the server.
    pub time: Option<Duration>,
    /// Its header fields, as counted by the MTA.
    pub names: HeaderNames,
    /// The negotiated options.
    pub negotiated: Negotiated,
}

impl<F: Filter> fmt::Debug for EndOfMessage<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndOfMessage")
            .field("collected", &self.collected)
            .field("time", &self.time)
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

/// A collected message. Its content has not been parsed yet.
#[derive(Debug)]
pub struct Collected {
    pub(super) listener: Arc<Listener>,
    pub(super) queue_id: String,
    pub(super) mta: Option<Arc<str>>,
    pub(super) submitted_locally: bool,
    pub(super) client: Client,
    pub(super) sender: Result<ReversePath, InvalidAddress>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) arrival: SystemTime,
    pub(super) bytes: Vec<u8>,
    pub(super) body_collected: bool,
    pub(super) header_fields: usize,
    pub(super) delimiters: usize,
    /// Bytes of memory for the collected message.
    pub(super) held: usize,
}

impl Collected {
    /// Bytes of the message.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Upper bound of the bytes of memory for the message during processing.
    pub fn cost(&self) -> usize {
        let parts = self.delimiters.min(MAXIMUM_PARTS);
        self.held + COPIES * self.bytes.len() + FIELD * self.header_fields + PART * parts
    }

    /// The message for the filter. Parses its header.
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
