//! One connection: bytes in, session, filter, replies out.

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

use super::Shared;
use super::byte_budget::BytePermit;
use super::connection_slots::ConnectionSlot;
use super::guard::catch_panic;
use super::process::{self, EncodedResponse};
use super::socket::Transport;
use crate::milter::codec::{Decoder, Reply};
use crate::milter::filter::Filter;
use crate::milter::response;
use crate::milter::session::{EndOfMessage, ProtocolError, Session, State, Step};
use crate::pool::{DeadlineExceeded, JobLimits};

/// Bytes read at once. Postfix writes 128 KiB at most, and a short message
/// comes in two writes. The room belongs to the thread, not to the connection,
/// so that idle connections cost nothing.
const READ: usize = 128 << 10;

/// What a connection keeps allocated for replies between two messages.
const KEPT_REPLIES: usize = 4096;

/// Answers that take no longer need not be waited for beside the MTA turning away:
/// that is looked at before they are written.
const AT_ONCE: Duration = Duration::from_millis(100);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Why a connection ended that neither side closed in order.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("{0}; the connection is closed")]
    Protocol(#[from] ProtocolError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("nothing came for {0:?}; the connection is closed")]
    IdleTimeout(Duration),
    #[error("the MTA takes no reply; the connection is closed")]
    WriteTimeout,
    #[error("nothing was said on it, and others need its place; the connection is closed")]
    Evicted,
}

/// What waiting for a message's answer came to.
enum Processed {
    /// The answer, or why there is none.
    Finished(Result<Result<EncodedResponse, DeadlineExceeded>, String>),
    /// The MTA gave the message up.
    Aborted,
    /// The daemon stops, and the message takes too long.
    Stopped,
}

/// What waiting for the next bytes came to.
enum Input<F: Filter> {
    Step(Step<F>),
    Eof,
}

pub(super) struct Connection<F: Filter, T> {
    stream: T,
    shared: Arc<Shared<F>>,
    session: Session<F>,
    decoder: Decoder,
    replies: Vec<u8>,
    /// Bytes behind a frame that had to be dealt with first.
    backlog: Vec<u8>,
    permit: BytePermit,
    stop: CancellationToken,
    slot: ConnectionSlot,
    /// The first commands have come.
    spoken: bool,
}

impl<F: Filter, T: Transport> Connection<F, T> {
    pub(super) fn new(
        stream: T,
        shared: Arc<Shared<F>>,
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
            spoken: false,
        }
    }

    /// The MTA's name for the message under way.
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
                if !self.spoken && closed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(ConnectionError::Evicted));
                }
                // Bytes that come one by one are not a command.
                let (longest, since) = if self.spoken {
                    (shared.limits.idle_timeout, waiting_since)
                } else {
                    (first, begun)
                };
                // One timer a connection, looked at when it fires: setting it
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
                    if !self.room_for(self.session.held(), wait).await {
                        self.session.fail_with(self.shared.limits.failure());
                        self.permit.release();
                    }
                }
                Input::Step(Step::Decide(complete)) => {
                    self.decide(*complete).await?;
                    self.permit.release();
                }
            }
        }
    }

    /// Feeds the session with what is there.
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
        while let Some(frame) = self.decoder.next(&mut input).map_err(ProtocolError::from)? {
            match self.session.step(frame, &mut self.replies)? {
                Step::Continue => {}
                step => {
                    self.backlog.extend_from_slice(input);
                    return Ok(Input::Step(step));
                }
            }
        }
        if !self.spoken && !matches!(self.session.state(), State::Start | State::Agreed) {
            self.spoken = true;
            self.slot.spoken();
        }
        Ok(Input::Step(Step::Continue))
    }

    /// Takes room for what has come in; false when there is none.
    async fn room_for(&mut self, held: usize, wait: Duration) -> bool {
        if held == 0 {
            self.permit.release();
            return true;
        }
        let budget = &self.shared.budget;
        let room = budget.grow(&mut self.permit, held, wait).await.is_ok();
        if !room {
            tracing::warn!(
                queue_id = self.session.queue_id(),
                held,
                "no room for the message: {} bytes of memory may be used for messages at a time (limits.held); it fails temporarily",
                self.shared.limits.memory,
            );
        }
        room
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

    /// Has a message processed, and answers it.
    async fn decide(&mut self, complete: EndOfMessage<F>) -> Result<(), ConnectionError> {
        let shared = Arc::clone(&self.shared);
        let time = complete.time.unwrap_or(shared.limits.processing_timeout);
        let deadline = Instant::now() + time;
        let cost = complete.collected.cost();
        if !self
            .room_for(cost, shared.limits.memory_wait.min(time))
            .await
        {
            return self.fail().await;
        }
        let order = JobLimits {
            size: complete.collected.size(),
            deadline,
        };
        let permit = std::mem::take(&mut self.permit);
        let work = process::process(Arc::clone(&shared), complete, permit);
        let trouble = match self.wait_for(shared.pool.run(order, work)).await? {
            Processed::Finished(Ok(Ok(done))) => return self.reply(done).await,
            Processed::Finished(Ok(Err(late))) => {
                format!("no answer within {time:?} (limits.processing_timeout-time): {late}")
            }
            Processed::Finished(Err(panic)) => format!("deciding on it panicked: {panic}"),
            Processed::Stopped => "waxseal is stopping".to_owned(),
            Processed::Aborted => {
                tracing::warn!(
                    queue_id = self.session.queue_id(),
                    "the MTA gave the message up before it was answered; its processing is canceled"
                );
                return Ok(());
            }
        };
        let queue_id = self.session.queue_id();
        tracing::error!(queue_id, "the message fails temporarily: {trouble}");
        self.fail().await
    }

    /// Answers a message that fails for a reason of ours.
    async fn fail(&mut self) -> Result<(), ConnectionError> {
        response::write_failure(&self.shared.limits.failure(), &mut self.replies);
        self.flush().await
    }

    /// Writes the answer. The permit is given back with the bytes of it.
    async fn reply(&mut self, done: EncodedResponse) -> Result<(), ConnectionError> {
        let EncodedResponse {
            replies,
            receipt,
            status,
            permit,
        } = done;
        if self.given_up() {
            // The receipt tells that the answer came too late.
            tracing::warn!(
                queue_id = self.session.queue_id(),
                "the MTA gave the message up before it was answered"
            );
            return Ok(());
        }
        self.permit = permit;
        self.replies = replies;
        self.flush().await?;
        receipt.tell(status);
        Ok(())
    }

    /// Waits for a message's answer, with a sign of life for the MTA now and
    /// then, for as long as the MTA waits as well.
    async fn wait_for(
        &mut self,
        answer: impl Future<Output = Result<EncodedResponse, DeadlineExceeded>>,
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
                () = self.spoke(), if !at_once => return Ok(Processed::Aborted),
                () = &mut stopped => return Ok(Processed::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            if std::mem::take(&mut at_once) && pause < limits.progress_interval {
                pause = limits.progress_interval;
                continue;
            }
            // The edits are written after the filter is done, so this never
            // comes between two chunks of a body.
            response::write_step(&Reply::Progress, &mut self.replies);
            self.flush().await?;
        }
    }

    /// Waits until the MTA says something or is gone. It says nothing before it
    /// has its answer, unless it gives the message up.
    async fn spoke(&mut self) {
        if !self.backlog.is_empty() {
            return;
        }
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
                self.backlog.extend_from_slice(buffer.filled());
                // What is wrong with it shows at the next read.
                read.map(|_| ())
            })
        })
        .await;
    }

    /// The same, asked once. The system is asked: what the runtime knows may be
    /// a moment old.
    fn given_up(&self) -> bool {
        !self.backlog.is_empty() || self.stream.has_spoken()
    }
}
