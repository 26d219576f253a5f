//! A complete message: runs the handler and writes the replies.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use waxseal_system::server::{BytePermit, Transport, catch_panic};

use super::acknowledge::Unacknowledged;
use super::connection::Connection;
use super::error::ConnectionError;
use super::scratch::poll_read;
use crate::delivery::{Acknowledgement, Board, Delivery, Handler, Receipt, Replies, ReplyStatus};
use crate::reply::Reply;

/// Most bytes that are read ahead while a handler runs. Reading shows that the
/// client is gone.
const LARGEST_BACKLOG: usize = 16 << 10;

/// Content whose memory counts until it is dropped.
struct Held {
    content: Bytes,
    _permit: BytePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// What ended the wait for the handler.
enum Step {
    /// The handler ended.
    Ended(Result<Result<Receipt, String>, JoinError>),
    /// There are new replies.
    Added,
    /// The client closed the connection.
    Gone,
    /// The handler timeout, or its grace, passed.
    Late,
}

/// The message that is being answered.
struct Open {
    board: Arc<Board>,
    statuses: Vec<ReplyStatus>,
    recipients: usize,
    /// The client had sent more before the last reply was written.
    pipelined: bool,
    /// The error by which it was found out that the client is gone.
    gone: Option<ConnectionError>,
}

impl<H: Handler, T: Transport> Connection<H, T> {
    /// Runs the handler and writes the replies. An error is that the client is gone;
    /// the handler has ended then, too.
    pub(super) async fn deliver(&mut self, mut delivery: Delivery) -> Result<(), ConnectionError> {
        let ident = delivery.forwarded.ident.clone().unwrap_or_default();
        let recipients = delivery.recipients.len();
        delivery.content = Bytes::from_owner(Held {
            content: delivery.content,
            _permit: std::mem::take(&mut self.permit),
        });
        let board = Arc::new(Board::new(recipients));
        let replies = Replies::new(Arc::clone(&board));
        let handler = Arc::clone(&self.shared.handler);
        let work = async move { catch_panic(handler.deliver(delivery, replies)).await };
        let work = tokio::spawn(work.instrument(tracing::Span::current()));
        let mut open = Open {
            board,
            statuses: Vec::with_capacity(recipients),
            recipients,
            pipelined: false,
            gone: None,
        };
        let receipt = self
            .attend(&mut open, AbortOnDropHandle::new(work), &ident)
            .await;
        open.statuses.resize(recipients, ReplyStatus::NotWritten);
        let written = Unacknowledged::new(receipt, open.statuses, open.pipelined);
        match open.gone {
            // Dropping it reports that nothing is acknowledged.
            Some(error) => {
                tracing::warn!(ident, "the client is gone before all replies were written");
                Err(error)
            }
            // Sent while the handler was finishing, after all replies were written.
            None if !open.pipelined && !self.backlog.is_empty() => {
                written.report(Acknowledgement::Command);
                Ok(())
            }
            None => {
                self.unacknowledged = Some(written);
                Ok(())
            }
        }
    }

    /// Writes replies until the handler has ended.
    async fn attend(
        &mut self,
        open: &mut Open,
        mut work: AbortOnDropHandle<Result<Receipt, String>>,
        ident: &str,
    ) -> Receipt {
        let (timeout, grace) = (
            self.shared.limits.handler_timeout,
            self.shared.limits.handler_grace,
        );
        let deadline = Instant::now() + timeout;
        let mut late = false;
        loop {
            let until = if late { deadline + grace } else { deadline };
            let step = tokio::select! {
                biased;
                ended = &mut work => Step::Ended(ended),
                () = open.board.added(), if open.gone.is_none() => Step::Added,
                () = sleep_until(until) => Step::Late,
                () = self.gone(), if open.gone.is_none() => Step::Gone,
            };
            match step {
                Step::Ended(ended) => {
                    let receipt = ended_with(ended, ident);
                    open.board.close(&missing());
                    self.write(open).await;
                    return receipt;
                }
                Step::Added => self.write(open).await,
                Step::Gone => {
                    open.gone = Some(ConnectionError::Gone);
                    open.board.close(&missing());
                }
                Step::Late if late => {
                    tracing::error!(ident, "dropping the handler: {grace:?} over its timeout");
                    return Receipt::none();
                }
                Step::Late => {
                    late = true;
                    report_late(ident, timeout);
                    open.board.close(&missing());
                    self.write(open).await;
                }
            }
        }
    }

    /// Writes the replies whose turn it is, in one write.
    async fn write(&mut self, open: &mut Open) {
        let ready = open.board.take();
        if ready.is_empty() || open.gone.is_some() {
            return;
        }
        for (reply, _) in &ready {
            self.session.reply(reply, &mut self.out);
        }
        let is_last = open.statuses.len() + ready.len() == open.recipients;
        if is_last {
            // What was sent before the replies were written does not acknowledge
            // them.
            open.pipelined = !self.backlog.is_empty() || self.stream.is_readable();
        }
        match self.flush().await {
            Ok(()) => open
                .statuses
                .extend(ready.iter().map(|(_, status)| *status)),
            Err(error) => {
                open.gone = Some(error);
                open.board.close(&missing());
            }
        }
    }

    /// Waits until the client closes the connection. Bytes that it sends meanwhile
    /// are kept.
    async fn gone(&mut self) {
        while self.backlog.len() < LARGEST_BACKLOG {
            let (stream, backlog) = (&mut self.stream, &mut self.backlog);
            let read = poll_fn(|context| {
                poll_read(stream, context, |read| {
                    // An error is the end, too.
                    let read = read.unwrap_or_default();
                    backlog.extend_from_slice(read);
                    read.len()
                })
            });
            if read.await == 0 {
                return;
            }
        }
        // More is read when the replies are written.
        std::future::pending().await
    }
}

/// The reply for recipients of which the handler said nothing.
fn missing() -> Reply {
    Reply::fixed(451, (4, 3, 0), "delivery not finished, try again later")
}

/// The receipt of a handler; a panic is logged.
fn ended_with(ended: Result<Result<Receipt, String>, JoinError>, ident: &str) -> Receipt {
    match ended {
        Ok(Ok(receipt)) => return receipt,
        Ok(Err(panic)) => tracing::error!(ident, "the handler panicked: {panic}"),
        Err(error) => tracing::error!(ident, "the handler was dropped: {error}"),
    }
    Receipt::none()
}

fn report_late(ident: &str, timeout: Duration) {
    tracing::error!(
        ident,
        "the handler did not finish within {timeout:?}: recipients without a reply are deferred"
    );
}
