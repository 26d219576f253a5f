//! Processing of a complete message: from its bytes to the bytes of the response.

use std::sync::Arc;

use super::shared::Shared;
use crate::filter::Filter;
use crate::receipt::{Receipt, ReplyStatus};
use crate::response::{self, MessageShape};
use crate::session::EndOfMessage;
use waxseal_core::work;
use waxseal_system::server::BytePermit;

/// An encoded response.
pub(super) struct EncodedResponse {
    pub(super) replies: Vec<u8>,
    /// The callback for whether the response was written.
    pub(super) receipt: Receipt,
    /// The status to report once `replies` are written:
    /// [`ReplyStatus::NotWritten`] if they are a failure instead of the response.
    pub(super) status: ReplyStatus,
    /// The memory of the message and of `replies`.
    pub(super) permit: BytePermit,
}

/// Calls the filter and encodes its response. The memory of an aborted message is
/// released when the work on it ends, not before.
pub(super) async fn process<F: Filter, E: Send + Sync + 'static>(
    shared: Arc<Shared<F, E>>,
    message: EndOfMessage<F>,
    permit: BytePermit,
) -> EncodedResponse {
    let EndOfMessage {
        transaction,
        collected,
        names,
        negotiated,
        ..
    } = message;
    // Linear in the bytes of the header.
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
    let response = Box::pin(shared.filter.filter(transaction, submission)).await;
    let mut replies = Vec::new();
    let mut status = ReplyStatus::Written;
    let encoded = response::encode(&response, &negotiated, shape, &mut replies);
    if let Err(error) = encoded {
        tracing::error!(queue_id, "message deferred: {error}");
        response::encode_failure(&shared.limits.failure(), &mut replies);
        status = ReplyStatus::NotWritten;
    }
    EncodedResponse {
        replies,
        receipt: response.receipt,
        status,
        permit,
    }
}
