//! Reports which replies reached the client.

use std::fmt;

/// What happened to the reply for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyStatus {
    /// The handler's reply was written to the socket. Whether the client acted on it
    /// is a matter of [`Answers::acknowledgement`].
    Written,
    /// The server's 451 was written instead: the handler was too late.
    Replaced,
    /// Nothing was written, or not all of it: the client is gone, and tries again.
    NotWritten,
}

/// How it is known that the client read the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledgement {
    /// It sent another command after the replies had been written. An MTA has by then
    /// recorded the results: it does not ask for these recipients again.
    Command,
    /// It closed the connection with nothing left to be read, which a Unix socket
    /// shows: Postfix sends QUIT together with the message, or closes a connection
    /// that it kept. A client that was killed right after reading looks the same.
    Close,
    /// It is not known: the client is gone, the connection was idle for too long, or
    /// the server stopped. The client may ask again.
    None,
}

/// What happened to the replies to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers {
    /// The statuses, in the order of the recipients.
    pub statuses: Vec<ReplyStatus>,
    /// Whether the client read what was written.
    pub acknowledgement: Acknowledgement,
}

impl Answers {
    pub(crate) fn none() -> Self {
        Self {
            statuses: Vec::new(),
            acknowledgement: Acknowledgement::None,
        }
    }

    /// The handler's reply for the recipient at that position was written, and the
    /// client is known to have read it.
    pub fn is_acknowledged(&self, position: usize) -> bool {
        self.acknowledgement != Acknowledgement::None
            && self.statuses.get(position) == Some(&ReplyStatus::Written)
    }
}

/// A callback that is called exactly once, with the [`Answers`] to a message, when
/// their fate is known: when the client sends its next command, or the connection
/// ends. A journal can then forget what is acknowledged. It must not block.
///
/// Dropping it reports that nothing was written.
#[derive(Default)]
pub struct Receipt(Option<Box<dyn FnOnce(Answers) + Send>>);

impl Receipt {
    /// A receipt that calls `report`.
    pub fn new(report: impl FnOnce(Answers) + Send + 'static) -> Self {
        Self(Some(Box::new(report)))
    }

    /// A receipt that reports nothing.
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn report(mut self, answers: Answers) {
        if let Some(report) = self.0.take() {
            report(answers);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(report) = self.0.take() {
            report(Answers::none());
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.0.is_some();
        f.debug_struct("Receipt")
            .field("pending", &pending)
            .finish()
    }
}
