//! What is done with a complete message on the pool's threads: from its bytes to
//! the bytes of its answer.

use std::sync::Arc;

use super::Shared;
use super::budget::Share;
use crate::milter::answer::{self, Seen};
use crate::milter::filter::{Filter, Handed, Receipt};
use crate::milter::session::Complete;
use crate::work;

/// An answer that only has to be written.
pub(super) struct Done {
    pub(super) replies: Vec<u8>,
    /// Who wants to know whether the reply reached the MTA.
    pub(super) receipt: Receipt,
    /// What to tell, if it is written.
    pub(super) handed: Handed,
    /// The memory that all this takes.
    pub(super) share: Share,
}

/// Decides on a message and puts the answer in the MTA's words. A message that is
/// given up gives its memory back when the work on it has ended, and not before.
pub(super) async fn process<F: Filter>(
    shared: Arc<Shared<F>>,
    complete: Complete<F>,
    share: Share,
) -> Done {
    let Complete {
        transaction,
        collected,
        names,
        agreement,
        ..
    } = complete;
    // Linear in bytes that are few on the quick threads.
    let submission = {
        let _stage = work::stage("mapping the header");
        collected.submission()
    };
    let queue_id = submission.queue_id.clone();
    let seen = Seen {
        names: &names,
        fields: submission.content.fields().len(),
        body: submission.body_collected,
    };
    let answer = shared.filter.filter(transaction, submission).await;
    let mut replies = Vec::new();
    let mut handed = Handed::Over;
    let encoded = answer::write(&answer, &agreement, seen, &mut replies);
    if let Err(error) = encoded {
        tracing::error!(queue_id, "the message fails temporarily: {error}");
        answer::write_lost(&shared.limits.failure(), &mut replies);
        handed = Handed::Not;
    }
    Done {
        replies,
        receipt: answer.receipt,
        handed,
        share,
    }
}
