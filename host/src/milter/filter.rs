//! The seam between the milter server and whatever decides on messages.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::negotiation::EarlyAccept;
use crate::decision::Verdict;
use crate::edit::{Edits, TransientHeader};
use crate::message::{self, Address, AddressError, Client, Content, ReversePath};

/// A listener, as far as messages are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in `waxseal.toml`.
    pub name: Arc<str>,
    /// When messages that the filter does not want are let go.
    pub early_accept: EarlyAccept,
}

/// What the server calls for each message.
///
/// [`begin`](Self::begin), [`wants`](Self::wants) and [`limits`](Self::limits)
/// run on the connection's own task and must not block. A panic in any of them, or in the future, costs
/// that message a temporary failure or that connection its life, and nothing
/// else.
pub trait Filter: Send + Sync + 'static {
    /// What a message is decided with, taken at its MAIL command: the policy in
    /// service and its settings (R26).
    type Transaction: Send + 'static;

    /// A message begins.
    fn begin(&self, listener: &Listener) -> Self::Transaction;

    /// How much of the message has to be collected. Asked once, when the
    /// envelope is complete; what is not wanted is never held in memory.
    fn wants(&self, transaction: &Self::Transaction, envelope: &EnvelopeInfo<'_>) -> Interest;

    /// Most of everything that a message may have, and how long it may be
    /// processed; none leaves both to [`Limits`](super::Limits). Asked once, when
    /// a message begins.
    fn limits(&self, transaction: &Self::Transaction) -> Option<(message::Limits, Duration)> {
        let _ = transaction;
        None
    }

    /// Decides on a message, on a thread of the server's
    /// [`Pool`](crate::pool::Pool). Not called for messages that pass.
    ///
    /// The future is dropped before it is done only when it outlasts the time
    /// that the message may be processed; the message then fails temporarily.
    fn filter(
        &self,
        transaction: Self::Transaction,
        submission: Submission,
    ) -> impl Future<Output = Response> + Send;
}

/// How much of a message the filter wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Header and body.
    Decide,
    /// The header alone: enough to refuse a forged author without holding the
    /// body of all incoming mail. No edit of the body is possible then.
    Header,
    /// Nothing: the message passes as it is.
    Pass,
}

/// What is known of a message when its envelope is complete.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeInfo<'a> {
    /// Where it came in.
    pub listener: &'a Listener,
    /// Who hands it in, login included.
    pub client: &'a Client,
    /// It was handed in by a command on the MTA's own host.
    pub submitted_locally: bool,
    /// The envelope sender.
    pub sender: &'a Result<ReversePath, InvalidAddress>,
    /// The envelope recipients so far accepted by the MTA.
    pub recipients: &'a [Recipient],
}

/// A message as the MTA handed it over.
#[derive(Debug)]
pub struct Submission {
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// The MTA's name for the message; empty where the MTA gave none.
    pub queue_id: String,
    /// What the MTA calls itself (macro `v`), such as `Postfix 3.7.11`.
    pub mta: Option<Arc<str>>,
    /// Who hands it in.
    pub client: Client,
    /// It was handed in by a command on the MTA's own host (`sendmail`): there
    /// is no client, and a recipient that is refused would leave the message
    /// stuck.
    pub submitted_locally: bool,
    /// The envelope sender.
    pub sender: Result<ReversePath, InvalidAddress>,
    /// The envelope recipients, in the order of their RCPT commands.
    pub recipients: Vec<Recipient>,
    /// When MAIL was given.
    pub arrival: Timestamp,
    /// Header and body, or the header alone.
    pub content: Content,
    /// The body was collected; false where only the header was asked for.
    pub body_collected: bool,
}

/// A recipient as the MTA gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message is to go.
    pub address: Result<Address, InvalidAddress>,
    /// How the MTA means to deliver (`{rcpt_mailer}`), from SMTP only: a hint,
    /// it does not tell local recipients from others.
    pub mailer: Option<String>,
}

/// An address of the envelope that is none. Whether the message is refused for
/// it is the filter's to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{:?}: {error}", raw.escape_ascii().to_string())]
pub struct InvalidAddress {
    /// The bytes that the MTA sent.
    pub raw: Box<[u8]>,
    /// What is wrong with them.
    #[source]
    pub error: AddressError,
}

/// What is to become of a message.
#[derive(Debug, Default)]
pub struct Response {
    /// What becomes of it.
    pub verdict: Verdict,
    /// What is changed on it; left out unless it is accepted or held.
    pub edits: Edits,
    /// Header fields for the eyes of the MTA alone.
    pub transient_headers: Vec<TransientHeader>,
    /// Who wants to know whether the reply reached the MTA.
    pub receipt: Receipt,
}

impl Response {
    /// The message goes on as it is.
    pub fn accept() -> Self {
        Self::default()
    }

    /// The message goes no further, or is held, as it is.
    pub fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            ..Self::default()
        }
    }
}

/// Told once whether the reply was handed to the MTA: what was charged for the
/// message is given back if it was not. A receipt that is dropped tells that it
/// was not.
#[derive(Default)]
pub struct Receipt(Option<Box<dyn FnOnce(ReplyStatus) + Send>>);

/// Whether a reply was handed to the MTA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyStatus {
    /// It was written whole. (Whether the MTA acted on it is its own affair.)
    Written,
    /// It was not: the MTA had given up, the connection broke, or the edits
    /// could not be said to this MTA.
    NotWritten,
}

impl Receipt {
    /// Calls `told` when it is known.
    pub fn new(told: impl FnOnce(ReplyStatus) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// Tells how it went.
    pub fn tell(mut self, status: ReplyStatus) {
        self.settle(status);
    }

    fn settle(&mut self, status: ReplyStatus) {
        if let Some(told) = self.0.take() {
            told(status);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.settle(ReplyStatus::NotWritten);
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Receipt(wanted)"
        } else {
            "Receipt"
        })
    }
}
