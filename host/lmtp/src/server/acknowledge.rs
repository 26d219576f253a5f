//! Replies that are written, and of which it is not known yet whether the client
//! read them.

use crate::delivery::{Acknowledgement, Answers, Receipt, ReplyStatus};

/// The replies to the last message. Reports them when it is dropped.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    receipt: Option<Receipt>,
    statuses: Vec<ReplyStatus>,
    /// The client had sent more than the message before its replies were written, so
    /// that its next command says nothing.
    pipelined: bool,
}

impl Unacknowledged {
    pub(super) fn new(receipt: Receipt, statuses: Vec<ReplyStatus>, pipelined: bool) -> Self {
        Self {
            receipt: Some(receipt),
            statuses,
            pipelined,
        }
    }

    pub(super) fn is_pipelined(&self) -> bool {
        self.pipelined
    }

    /// Reports the replies.
    pub(super) fn report(mut self, acknowledgement: Acknowledgement) {
        self.call(acknowledgement);
    }

    fn call(&mut self, acknowledgement: Acknowledgement) {
        if let Some(receipt) = self.receipt.take() {
            receipt.report(Answers {
                statuses: std::mem::take(&mut self.statuses),
                acknowledgement,
            });
        }
    }
}

impl Drop for Unacknowledged {
    fn drop(&mut self) {
        self.call(Acknowledgement::None);
    }
}
