//! The trait that a milter implements, and its response to a message.

use std::future::Future;
use std::time::Duration;

use super::listener::Listener;
use super::receipt::Receipt;
use super::submission::{EnvelopeInfo, Submission};
use waxseal_core::decision::Verdict;
use waxseal_core::edit::{Edits, HeaderEdit, TransientHeader};
use waxseal_core::message;

/// A milter: decides on messages.
///
/// [`begin`](Self::begin), [`wants`](Self::wants) and [`limits`](Self::limits)
/// run on the connection's own task and must not block. A panic in one of them
/// closes the connection; a panic in [`filter`](Self::filter) defers the message.
/// Neither affects another connection.
pub trait Filter: Send + Sync + 'static {
    /// State of one message, from its MAIL command on, such as the configuration
    /// in effect at that time. `()` if there is none.
    type Transaction: Send + 'static;

    /// Called at each MAIL command.
    fn begin(&self, listener: &Listener) -> Self::Transaction;

    /// How much of the message to collect. Called once, when the envelope is
    /// complete. What is not wanted is never held in memory. The default is the
    /// whole message.
    fn wants(&self, transaction: &Self::Transaction, envelope: &EnvelopeInfo<'_>) -> Interest {
        let _ = (transaction, envelope);
        Interest::Decide
    }

    /// Limits of the message and its processing timeout; `None` applies those of
    /// [`Limits`](super::Limits). Called once, at the MAIL command.
    fn limits(&self, transaction: &Self::Transaction) -> Option<(message::Limits, Duration)> {
        let _ = transaction;
        None
    }

    /// Decides on a complete message. Not called for [`Interest::Pass`]. Runs where
    /// the server's [`Executor`](super::Executor) runs it.
    ///
    /// The future is dropped if the processing timeout passes or the MTA aborts
    /// the message, unless the executor lets it finish; the response is then not
    /// sent.
    fn filter(
        &self,
        transaction: Self::Transaction,
        submission: Submission,
    ) -> impl Future<Output = Response> + Send;
}

/// How much of a message the filter wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Header and body.
    Decide,
    /// The header alone, enough to reject a forged author without holding the
    /// bodies of all incoming mail. The body cannot be replaced.
    Header,
    /// Nothing: the message is accepted unchanged.
    Pass,
}

/// What the MTA does with a message.
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct Response {
    /// Accept, reject, defer, discard or hold.
    pub verdict: Verdict,
    /// Changes of the message, ignored unless it is accepted or held.
    pub edits: Edits,
    /// Header fields that are added and deleted in the same reply: only Postfix's
    /// `milter_header_checks` sees them.
    pub transient_headers: Vec<TransientHeader>,
    /// Called with whether the response was written.
    pub receipt: Receipt,
}

impl Response {
    /// Accepts the message unchanged.
    pub fn accept() -> Self {
        Self::default()
    }

    /// A verdict without edits.
    pub fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            ..Self::default()
        }
    }

    /// Adds changes of the message; replaces those there were.
    pub fn with_edits(mut self, edits: Edits) -> Self {
        self.edits = edits;
        self
    }

    /// Adds a header field above all others. The value is what follows the colon:
    /// a space is put in front of it.
    pub fn with_header(mut self, name: impl Into<String>, value: impl AsRef<str>) -> Self {
        self.edits.headers.push(HeaderEdit::Prepend {
            name: name.into(),
            value: format!(" {}", value.as_ref()).into_bytes(),
        });
        self
    }

    /// Sets the header fields that are added and deleted in the same reply.
    pub fn with_transient_headers(mut self, headers: Vec<TransientHeader>) -> Self {
        self.transient_headers = headers;
        self
    }

    /// Sets the callback for whether the response was written.
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = receipt;
        self
    }
}
