//! One connection: reads frames, runs the session, processes messages and writes
//! replies.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;
use waxseal_system::server::{BytePermit, ConnectionSlot, Transport, catch_panic};

use super::process::{self, EncodedResponse};
use super::shared::Shared;
use crate::codec::{Decoder, Reply};
use crate::executor::{Executor, Job, NotProcessed};
use crate::filter::Filter;
use crate::response;
use crate::session::{EndOfMessage, ProtocolError, Session, State, Step};

/// Bytes read at once. Postfix writes 128 KiB at most, and a short message
/// comes in two writes. The buffer belongs to the thread, so that idle connections
/// have none.
const READ: usize = 128 << 10;

/// Capacity of the reply buffer that is retained between messages.
const KEPT_REPLIES: usize = 4096;

/// Responses within this time are awaited without watching the socket for an ABORT:
/// that is checked before they are written.
const AT_ONCE: Duration = Duration::from_millis(100);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// An error that ends a connection.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no command within {0:?}")]
    IdleTimeout(Duration),
    #[error("write timeout: the MTA does not read its replies")]
    WriteTimeout,
    #[error("no command so far, and the connection limit is reached")]
    Evicted,
}

/// The end of the wait for a response.
enum Processed {
    /// The response, the missed deadline, or the text of a panic.
    Finished(Result<Result<EncodedResponse, NotProcessed>, String>),
    /// The MTA aborted the message, or closed the connection.
    Aborted,
    /// The server shuts down.
    Stopped,
}

/// The result of reading from the MTA.
enum Input<F: Filter> {
    Step(Step<F>),
    Eof,
}

/// A connection of an MTA.
pub(super) struct Connection<F: Filter, E, T> {
    stream: T,
    shared: Arc<Shared<F, E>>,
    session: Session<F>,
    decoder: Decoder,
    replies: Vec<u8>,
    /// Bytes that were read behind the end of a message.
    backlog: Vec<u8>,
    permit: BytePermit,
    stop: CancellationToken,
    slot: ConnectionSlot,
    /// CONNECT, or a later command, was received.
    has_command: bool,
}

impl<F: Filter, E: Executor, T: Transport> Connection<F, E, T> {
    pub(super) fn new(
        stream: T,
        shared: Arc<Shared<F, E>>,
        session: Session<F>,
        stop: CancellationToken,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            stream,
            shared,
            session,
            decoder: Decoder::default(),
            replies: Vec::new(),
            backlog: Vec::new(),
            permit: BytePermit::default(),
            stop,
            slot,
            has_command: false,
        }
    }

    /// The queue id of the open message.
    pub(super) fn queue_id(&self) -> &str {
        self.session.queue_id()
    }

    /// Serves the connection until either side ends it.
    pub(super) async fn serve(&mut self) -> Result<(), ConnectionError> {
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut stopping = false;
        let shared = Arc::clone(&self.shared);
        let closed = self.slot.closed().clone();
        let mut closed = pin!(closed.cancelled());
        let first = shared
            .limits
            .first_command_timeout
            .min(shared.limits.idle_timeout);
        let mut idle = pin!(tokio::time::sleep(first));
        let begun = Instant::now();
        loop {
            let waiting_since = Instant::now();
            let arrived = poll_fn(|context| {
                if let Poll::Ready(arrived) = self.poll_step(context) {
                    return Poll::Ready(arrived);
                }
                if !stopping && stopped.as_mut().poll(context).is_ready() {
                    stopping = true;
                }
                if stopping && !self.session.state().in_message() {
                    return Poll::Ready(Ok(Input::Eof));
                }
                if !self.has_command && closed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(ConnectionError::Evicted));
                }
                // A slow trickle of bytes is not a command.
                let (longest, since) = if self.has_command {
                    (shared.limits.idle_timeout, waiting_since)
                } else {
                    (first, begun)
                };
                // One timer for each connection, checked when it fires: resetting it
                // for each read would cost more than the read.
                while idle.as_mut().poll(context).is_ready() {
                    let waited = since.elapsed();
                    if waited >= longest {
                        return Poll::Ready(Err(ConnectionError::IdleTimeout(longest)));
                    }
                    let again = tokio::time::Instant::now() + (longest - waited);
                    idle.as_mut().reset(again);
                }
                Poll::Pending
            })
            .await?;
            match arrived {
                Input::Eof | Input::Step(Step::Close) => return Ok(()),
                Input::Step(Step::Continue) => {
                    self.flush().await?;
                    let wait = shared.limits.memory_wait;
                    if !self.acquire(self.session.held(), wait).await {
                        self.session.fail_with(self.shared.limits.failure());
                        self.permit.release();
                    }
                }
                Input::Step(Step::Decide(message)) => {
                    Box::pin(self.process(*message)).await?;
                    self.permit.release();
                }
            }
        }
    }

    /// Passes the available bytes to the session.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Input<F>, ConnectionError>> {
        if !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            return Poll::Ready(self.consume(&backlog));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut buffer)
            else {
                self.stream.before_wait();
                return Poll::Pending;
            };
            read?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(Input::Eof));
            }
            Poll::Ready(self.consume(buffer.filled()))
        })
    }

    fn consume(&mut self, mut input: &[u8]) -> Result<Input<F>, ConnectionError> {
        let mut next = Step::Continue;
        while let Some(frame) = self.decoder.next(&mut input).map_err(ProtocolError::from)? {
            next = self.session.step(frame, &mut self.replies)?;
            if !matches!(next, Step::Continue) {
                self.backlog.extend_from_slice(input);
                break;
            }
        }
        if !self.has_command && !matches!(self.session.state(), State::Start | State::Agreed) {
            self.has_command = true;
            self.slot.set_active();
        }
        Ok(Input::Step(next))
    }

    /// Acquires memory for the collected bytes; false after a timeout.
    async fn acquire(&mut self, held: usize, wait: Duration) -> bool {
        if held == 0 {
            self.permit.release();
            return true;
        }
        let budget = &self.shared.budget;
        let acquired = budget.grow(&mut self.permit, held, wait).await.is_ok();
        if !acquired {
            tracing::warn!(
                queue_id = self.session.queue_id(),
                held,
                "message deferred: the memory limit for all messages, {} bytes, is reached",
                self.shared.limits.memory,
            );
        }
        acquired
    }

    async fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let write = self.stream.write_all(&self.replies);
        match tokio::time::timeout(self.shared.limits.write_timeout, write).await {
            Ok(written) => written?,
            Err(_) => return Err(ConnectionError::WriteTimeout),
        }
        self.replies.clear();
        self.replies.shrink_to(KEPT_REPLIES);
        Ok(())
    }

    /// Processes a message and writes the response.
    async fn process(&mut self, message: EndOfMessage<F>) -> Result<(), ConnectionError> {
        let shared = Arc::clone(&self.shared);
        let time = message.time.unwrap_or(shared.limits.processing_timeout);
        let deadline = Instant::now() + time;
        let cost = message.collected.cost();
        if !self
            .acquire(cost, shared.limits.memory_wait.min(time))
            .await
        {
            return self.fail().await;
        }
        let job = Job::new(message.collected.size(), deadline);
        let permit = std::mem::take(&mut self.permit);
        // Allocated, since a future holds what it awaits: the connection's would
        // otherwise have the size of all processing, also while it is idle.
        let work = Box::pin(process::process(Arc::clone(&shared), message, permit));
        let running = Box::pin(shared.executor.run(job, work));
        let reason = match self.wait_for(running).await? {
            Processed::Finished(Ok(Ok(encoded))) => return self.reply(encoded).await,
            Processed::Finished(Ok(Err(error))) => format!("no response within {time:?}: {error}"),
            Processed::Finished(Err(panic)) => format!("the filter panicked: {panic}"),
            Processed::Stopped => "the server is stopping".to_owned(),
            Processed::Aborted => {
                tracing::warn!(
                    queue_id = self.session.queue_id(),
                    "the MTA aborted the message before the response; processing is canceled"
                );
                return Ok(());
            }
        };
        let queue_id = self.session.queue_id();
        tracing::error!(queue_id, "message deferred: {reason}");
        self.fail().await
    }

    /// Defers a message that failed for an internal reason.
    async fn fail(&mut self) -> Result<(), ConnectionError> {
        response::encode_failure(&self.shared.limits.failure(), &mut self.replies);
        self.flush().await
    }

    /// Writes a response. Its memory is released after the write.
    async fn reply(&mut self, encoded: EncodedResponse) -> Result<(), ConnectionError> {
        let EncodedResponse {
            replies,
            receipt,
            status,
            permit,
        } = encoded;
        if self.is_aborted() {
            // Dropping the receipt reports that nothing was written.
            tracing::warn!(
                queue_id = self.session.queue_id(),
                "the MTA aborted the message before the response was written"
            );
            return Ok(());
        }
        self.permit = permit;
        self.replies = replies;
        self.flush().await?;
        receipt.report(status);
        Ok(())
    }

    /// Waits for a response and sends progress replies, until the MTA aborts the
    /// message.
    async fn wait_for(
        &mut self,
        answer: impl Future<Output = Result<EncodedResponse, NotProcessed>>,
    ) -> Result<Processed, ConnectionError> {
        let shared = Arc::clone(&self.shared);
        let limits = &shared.limits;
        let stop = self.stop.clone();
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(limits.shutdown_processing_timeout).await;
        };
        let (mut answer, mut stopped) = (pin!(catch_panic(answer)), pin!(stopped));
        let mut pause = AT_ONCE.min(limits.progress_interval);
        let mut at_once = true;
        loop {
            tokio::select! {
                biased;
                done = &mut answer => return Ok(Processed::Finished(done)),
                () = self.aborted(), if !at_once => return Ok(Processed::Aborted),
                () = &mut stopped => return Ok(Processed::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            if std::mem::take(&mut at_once) && pause < limits.progress_interval {
                pause = limits.progress_interval;
                continue;
            }
            // The response is written in one piece later, so no progress reply
            // separates two chunks of a body.
            Reply::Progress.encode_short(&mut self.replies);
            self.flush().await?;
        }
    }

    /// Waits for a command or the end of the connection. Before the response, either
    /// means that the MTA aborts the message.
    async fn aborted(&mut self) {
        if !self.backlog.is_empty() {
            return;
        }
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
                self.backlog.extend_from_slice(buffer.filled());
                // An error is reported by the next read.
                read.map(|_| ())
            })
        })
        .await;
    }

    /// Like [`aborted`](Self::aborted), without waiting. Asks the system: the
    /// runtime's readiness may be outdated.
    fn is_aborted(&self) -> bool {
        !self.backlog.is_empty() || self.stream.is_readable()
    }
}
