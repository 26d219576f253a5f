//! The state of a session, and the answers to its commands.

use super::content::Content;
use super::transaction::Transaction;
use crate::reply::Reply;

/// Where a session is.
#[derive(Debug)]
pub(super) enum State {
    /// Before LHLO.
    Start,
    /// Between transactions.
    Ready,
    /// After MAIL.
    Envelope(Transaction),
    /// After DATA.
    Content(Transaction, Content),
    /// A message is complete, and so many recipients have no reply yet.
    Answering { missing: usize, utf8: bool },
    /// After QUIT, or too many errors.
    Ended,
}

/// The answer to a command.
pub(super) enum Answer {
    Accepted(Reply),
    /// Refused for what it says, or in consequence of another one.
    Refused(Reply),
    /// The protocol does not permit it here.
    Violation(Reply),
}
