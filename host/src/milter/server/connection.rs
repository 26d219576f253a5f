//! One connection: bytes in, session, filter, replies out.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Share};
use super::guard::unwound;
use super::socket::Transport;
use super::{Limits, Shared};
use crate::decision::Verdict;
use crate::milter::answer::{self, Seen};
use crate::milter::codec::{Decoder, Reply};
use crate::milter::filter::{Answer, Filter, Handed, Receipt};
use crate::milter::session::{Complete, ProtocolError, Session, Step};

/// Bytes read at once. Postfix writes 128 KiB at most, and a short message
/// comes in two writes. The room belongs to the thread, not to the connection,
/// so that idle connections cost nothing.
const READ: usize = 128 << 10;

/// What a connection keeps allocated for replies between two messages.
const KEPT_REPLIES: usize = 4096;

/// Decisions that take no longer leave the MTA no time to turn away: asking the
/// system about it would cost more than it could find out.
const AT_ONCE: Duration = Duration::from_millis(100);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Why a connection ended that neither side closed in order.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("{0}; the connection is closed")]
    Protocol(#[from] ProtocolError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("nothing came for {0:?}; the connection is closed")]
    Idle(Duration),
    #[error("the MTA takes no reply; the connection is closed")]
    Stuck,
}

/// What waiting for the next bytes came to.
enum Arrived<F: Filter> {
    Step(Step<F>),
    End,
}

pub(super) struct Connection<F: Filter, T> {
    stream: T,
    shared: Arc<Shared<F>>,
    session: Session<F>,
    decoder: Decoder,
    replies: Vec<u8>,
    /// Bytes behind a frame that had to be dealt with first.
    backlog: Vec<u8>,
    share: Share,
    stop: CancellationToken,
}

impl<F: Filter, T: Transport> Connection<F, T> {
    pub(super) fn new(
        stream: T,
        shared: Arc<Shared<F>>,
        session: Session<F>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stream,
            shared,
            session,
            decoder: Decoder::default(),
            replies: Vec::new(),
            backlog: Vec::new(),
            share: Share::default(),
            stop,
        }
    }

    /// The MTA's name for the message under way.
    pub(super) fn queue_id(&self) -> &str {
        self.session.queue_id()
    }

    /// Serves the connection until either side ends it.
    pub(super) async fn serve(&mut self) -> Result<(), Broken> {
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut stopping = false;
        let shared = Arc::clone(&self.shared);
        let mut idle = pin!(tokio::time::sleep(shared.limits.idle));
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
                    return Poll::Ready(Ok(Arrived::End));
                }
                // One timer a connection, looked at when it fires: setting it
                // for each read would cost more than the read.
                while idle.as_mut().poll(context).is_ready() {
                    let waited = waiting_since.elapsed();
                    if waited >= shared.limits.idle {
                        return Poll::Ready(Err(Broken::Idle(shared.limits.idle)));
                    }
                    let again = tokio::time::Instant::now() + (shared.limits.idle - waited);
                    idle.as_mut().reset(again);
                }
                Poll::Pending
            })
            .await?;
            match arrived {
                Arrived::End | Arrived::Step(Step::Close) => return Ok(()),
                Arrived::Step(Step::Continue) => {
                    self.flush().await?;
                    if !self.room_for(self.session.held()).await {
                        self.session.lose(self.shared.limits.failure());
                        self.share.release();
                    }
                }
                Arrived::Step(Step::Decide(complete)) => {
                    let held = complete.submission.content.bytes().len();
                    if self.room_for(held).await {
                        self.decide(*complete).await?;
                    } else {
                        answer::write_lost(&self.shared.limits.failure(), &mut self.replies);
                        self.flush().await?;
                    }
                    self.share.release();
                }
            }
        }
    }

    /// Feeds the session with what is there.
    fn poll_step(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Result<Arrived<F>, Broken>> {
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
                return Poll::Ready(Ok(Arrived::End));
            }
            Poll::Ready(self.consume(buffer.filled()))
        })
    }

    fn consume(&mut self, mut input: &[u8]) -> Result<Arrived<F>, Broken> {
        while let Some(frame) = self.decoder.next(&mut input).map_err(ProtocolError::from)? {
            match self.session.step(frame, &mut self.replies)? {
                Step::Continue => {}
                step => {
                    self.backlog.extend_from_slice(input);
                    return Ok(Arrived::Step(step));
                }
            }
        }
        Ok(Arrived::Step(Step::Continue))
    }

    /// Takes room for what has come in; false when there is none.
    async fn room_for(&mut self, held: usize) -> bool {
        if held == 0 {
            self.share.release();
            return true;
        }
        let room = self.shared.budget.grow(&mut self.share, held).await.is_ok();
        if !room {
            tracing::warn!(
                queue_id = self.session.queue_id(),
                held,
                "no room for the message: {} bytes may be held at a time (limits.held); it fails temporarily",
                self.shared.limits.held,
            );
        }
        room
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let write = self.stream.write_all(&self.replies);
        match tokio::time::timeout(self.shared.limits.write, write).await {
            Ok(written) => written?,
            Err(_) => return Err(Broken::Stuck),
        }
        self.replies.clear();
        self.replies.shrink_to(KEPT_REPLIES);
        Ok(())
    }

    /// Decides on a message and answers it.
    async fn decide(&mut self, complete: Complete<F>) -> Result<(), Broken> {
        let Complete {
            transaction,
            submission,
            names,
            agreement,
        } = complete;
        let seen = Seen {
            names: &names,
            fields: submission.content.fields().len(),
            body: submission.body_collected,
        };
        let shared = Arc::clone(&self.shared);
        let future = shared.filter.filter(transaction, submission);
        let (answer, waited) = self.wait_for(future, &shared.limits).await;
        if waited && self.given_up() {
            // The receipt tells that the answer came too late.
            tracing::warn!(
                queue_id = self.session.queue_id(),
                "the MTA gave the message up before it was answered"
            );
            return Ok(());
        }
        let mut handed = Handed::Over;
        if let Err(error) = answer::write(&answer, &agreement, seen, &mut self.replies) {
            tracing::error!(
                queue_id = self.session.queue_id(),
                "the message fails temporarily: {error}"
            );
            answer::write_lost(&shared.limits.failure(), &mut self.replies);
            handed = Handed::Not;
        }
        let receipt: Receipt = answer.receipt;
        self.flush().await?;
        receipt.tell(handed);
        Ok(())
    }

    /// Waits for the filter, and keeps the MTA waiting. Also tells whether that
    /// took long enough for the MTA to lose its patience.
    async fn wait_for(
        &mut self,
        future: impl Future<Output = Answer>,
        limits: &Limits,
    ) -> (Answer, bool) {
        let mut future = pin!(unwound(future));
        let started = Instant::now();
        let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        let (decided, waited) = match at_once {
            Poll::Ready(decided) => (Some(decided), started.elapsed() > AT_ONCE),
            Poll::Pending => (self.keep_waiting(future, started, limits).await, true),
        };
        let trouble = match decided {
            Some(Ok(answer)) => return (answer, waited),
            Some(Err(panic)) => format!("deciding on it panicked: {panic}"),
            None => format!("no decision within {:?} (limits.answer)", limits.answer),
        };
        let queue_id = self.session.queue_id();
        tracing::error!(queue_id, "the message fails temporarily: {trouble}");
        (Answer::of(limits.failure()), waited)
    }

    /// Waits on, with a sign of life now and then; none when time is up.
    async fn keep_waiting<O>(
        &mut self,
        mut future: Pin<&mut impl Future<Output = O>>,
        started: Instant,
        limits: &Limits,
    ) -> Option<O> {
        let mut peer_there = true;
        loop {
            let left = limits.answer.saturating_sub(started.elapsed());
            tokio::select! {
                biased;
                decided = &mut future => return Some(decided),
                () = tokio::time::sleep(limits.progress.min(left)) => {}
            }
            if started.elapsed() >= limits.answer {
                return None;
            }
            // The edits are written after the filter is done, so this never
            // comes between two chunks of a body.
            answer::write_step(&Reply::Progress, &mut self.replies);
            if peer_there && self.flush().await.is_err() {
                // What was begun is finished, so that it can be undone in order.
                peer_there = false;
            }
            self.replies.clear();
        }
    }

    /// Whether the MTA turned away while the filter was at work: it says
    /// nothing before it has its answer, unless it gives the message up.
    fn given_up(&self) -> bool {
        !self.backlog.is_empty() || self.stream.has_spoken()
    }
}

impl Limits {
    /// What a message gets that fails for a reason of ours.
    pub(super) fn failure(&self) -> Verdict {
        Verdict::Defer(self.failure.clone())
    }
}

impl<F: Filter> Shared<F> {
    pub(super) fn budget_of(limits: &Limits) -> Budget {
        Budget::new(limits.held, limits.held_wait)
    }
}
