//! What is done with a complete message on the pool's threads: from its bytes to
//! the bytes of its answer.

use std::sync::Arc;

use super::Shared;
use super::byte_budget::BytePermit;
use crate::milter::filter::{Filter, Receipt, ReplyStatus};
use crate::milter::response::{self, MessageShape};
use crate::milter::session::EndOfMessage;
use crate::work;

/// An answer that only has to be written.
pub(super) struct EncodedResponse {
    pub(super) replies: Vec<u8>,
    /// Who wants to know whether the reply reached the MTA.
    pub(super) receipt: Receipt,
    /// What to tell, if it is written.
    pub(super) status: ReplyStatus,
    /// The memory that all this takes.
    pub(super) permit: BytePermit,
}

/// Decides on a message and puts the answer in the MTA's words. A message that is
/// given up gives its memory back when the work on it has ended, and not before.
pub(super) async fn process<F: Filter>(
    shared: Arc<Shared<F>>,
    complete: EndOfMessage<F>,
    permit: BytePermit,
) -> EncodedResponse {
    let EndOfMessage {
        transaction,
        collected,
        names,
        negotiated,
        ..
    } = complete;
    // Linear in bytes that are few on the quick threads.
    let submission = {
        let _stage = work::stage("mapping the header");
        collected.submission()
    };
    let queue_id = submission.queue_id.clone();
    let shape = MessageShape {
        names: &names,
        fields: submission.content.fields().len(),
        body: submission.body_collected,
    };
    let answer = shared.filter.filter(transaction, submission).await;
    let mut replies = Vec::new();
    let mut status = ReplyStatus::Written;
    let encoded = response::encode(&answer, &negotiated, shape, &mut replies);
    if let Err(error) = encoded {
        tracing::error!(queue_id, "the message fails temporarily: {error}");
        response::write_failure(&shared.limits.failure(), &mut replies);
        status = ReplyStatus::NotWritten;
    }
    EncodedResponse {
        replies,
        receipt: answer.receipt,
        status,
        permit,
    }
}
