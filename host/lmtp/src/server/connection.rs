//! One connection: reads bytes, runs the session, and writes replies.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use waxseal_system::server::{BytePermit, ConnectionSlot, Transport};

use super::acknowledge::Unacknowledged;
use super::error::ConnectionError;
use super::scratch::poll_read;
use super::shared::Shared;
use super::stage::Stage;
use crate::delivery::{Acknowledgement, Handler};
use crate::reply::Reply;
use crate::session::{Event, Session};

/// Capacity of the reply buffer that is retained between messages.
const KEPT_REPLIES: usize = 4096;

/// How long the reply to QUIT is held back where the client sent QUIT together with
/// the message: Postfix reads the replies to the message and closes, without waiting
/// for the one to QUIT.
const QUIT_PAUSE: Duration = Duration::from_millis(200);

/// How long the client has after the reply to QUIT to close the connection.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The result of reading from the client.
enum Input {
    Event(Event),
    Eof,
}

/// A connection of a client.
pub(super) struct Connection<H, T> {
    pub(super) stream: T,
    pub(super) shared: Arc<Shared<H>>,
    pub(super) session: Session,
    /// Replies that are not written yet.
    pub(super) out: Vec<u8>,
    /// Bytes that were read and not used yet.
    pub(super) backlog: BytesMut,
    /// Memory of the open transaction.
    pub(super) permit: BytePermit,
    pub(super) unacknowledged: Option<Unacknowledged>,
    stage: Stage,
    stop: CancellationToken,
    slot: ConnectionSlot,
    /// LHLO was accepted: the connection is not closed for others any more.
    is_active: bool,
}

impl<H: Handler, T: Transport> Connection<H, T> {
    pub(super) fn new(
        stream: T,
        shared: Arc<Shared<H>>,
        session: Session,
        stop: CancellationToken,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            stream,
            shared,
            session,
            out: Vec::new(),
            backlog: BytesMut::new(),
            permit: BytePermit::default(),
            unacknowledged: None,
            stage: Stage::new(Instant::now()),
            stop,
            slot,
            is_active: false,
        }
    }

    /// The queue id of the open message.
    pub(super) fn ident(&self) -> &str {
        self.session.ident()
    }

    /// Serves the connection until either side ends it.
    pub(super) async fn serve(&mut self) -> Result<(), ConnectionError> {
        self.session.greet(&mut self.out);
        self.flush().await?;
        loop {
            let event = match self.next().await? {
                Input::Event(event) => event,
                Input::Eof if self.session.is_in_transaction() => {
                    return Err(ConnectionError::Gone);
                }
                Input::Eof => {
                    self.ended();
                    return Ok(());
                }
            };
            match event {
                Event::NeedInput => {
                    self.flush().await?;
                    self.acquire().await?;
                }
                Event::Message(delivery) => {
                    self.flush().await?;
                    Box::pin(self.deliver(*delivery)).await?;
                    self.stage.restart(&self.session, Instant::now());
                }
                Event::Quit => return self.quit().await,
                Event::Close => {
                    self.flush().await?;
                    return Err(ConnectionError::Errors);
                }
            }
            if !self.is_active && self.session.is_greeted() {
                self.is_active = true;
                self.slot.set_active();
            }
        }
    }

    /// The next event. Ends the connection if it is too late, or not wanted any
    /// more.
    async fn next(&mut self) -> Result<Input, ConnectionError> {
        if !self.session.is_in_transaction() && self.stop.is_cancelled() {
            return self.shut_down().await;
        }
        let (deadline, late) = self.stage.deadline(&self.shared.limits);
        let stop = self.stop.clone();
        let closed = self.slot.closed().clone();
        let (may_stop, may_close) = (
            !self.session.is_in_transaction(),
            !self.session.is_greeted(),
        );
        let input = tokio::select! {
            biased;
            input = poll_fn(|context| self.poll_input(context)) => input?,
            () = stop.cancelled(), if may_stop => return self.shut_down().await,
            () = closed.cancelled(), if may_close => return Err(ConnectionError::Evicted),
            () = sleep_until(deadline) => {
                self.session.close("timeout", &mut self.out);
                self.flush().await?;
                return Err(late);
            }
        };
        self.stage.heard(&self.session, Instant::now());
        Ok(input)
    }

    /// The server stops, and no message is open.
    async fn shut_down(&mut self) -> Result<Input, ConnectionError> {
        // Not known to be read.
        self.unacknowledged = None;
        self.session.close("shutting down", &mut self.out);
        self.flush().await?;
        Ok(Input::Eof)
    }

    /// Passes available bytes to the session.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Result<Input, ConnectionError>> {
        if !self.backlog.is_empty() {
            let mut rest = &self.backlog[..];
            let event = self.session.receive(&mut rest, &mut self.out);
            let used = self.backlog.len() - rest.len();
            self.backlog.advance(used);
            if self.backlog.is_empty() {
                self.backlog = BytesMut::new();
            }
            return Poll::Ready(Ok(Input::Event(event)));
        }
        let Self {
            stream,
            session,
            out,
            backlog,
            unacknowledged,
            ..
        } = self;
        poll_read(stream, context, |read| {
            let mut input = read?;
            if input.is_empty() {
                return Ok(Input::Eof);
            }
            // New bytes of the client acknowledge the replies to the last message.
            if let Some(open) = unacknowledged.take_if(|open| !open.is_pipelined()) {
                open.report(Acknowledgement::Command);
            }
            let event = session.receive(&mut input, out);
            backlog.extend_from_slice(input);
            Ok(Input::Event(event))
        })
    }

    /// The client closed the connection outside of a message, and had read what was
    /// written: Postfix does so with a connection that it kept and does not need.
    fn ended(&mut self) {
        let knows = self.stream.end_acknowledges();
        if let Some(open) = self.unacknowledged.take_if(|_| knows) {
            open.report(Acknowledgement::Close);
        }
    }

    /// Acquires memory for the open transaction.
    async fn acquire(&mut self) -> Result<(), ConnectionError> {
        let held = self.session.held();
        if held == 0 {
            self.permit.release();
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let (began, wait) = (Instant::now(), shared.limits.memory_wait);
        let acquired = shared.budget.grow(&mut self.permit, held, wait).await;
        self.stage.exclude(began.elapsed());
        if acquired.is_ok() {
            return Ok(());
        }
        let ident = self.session.ident();
        tracing::warn!(
            ident,
            held,
            "message deferred: the memory limit for all messages is reached"
        );
        if !self.session.is_in_content() {
            self.session.close("insufficient memory", &mut self.out);
            self.flush().await?;
            return Err(ConnectionError::Memory);
        }
        let reply = Reply::fixed(452, (4, 3, 1), "insufficient memory, try again later");
        self.session.refuse_content(&reply);
        self.permit.release();
        Ok(())
    }

    /// Writes the replies.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = self.stream.write_all(&self.out);
        let written = timeout(self.shared.limits.write_timeout, write).await;
        self.out.clear();
        self.out.shrink_to(KEPT_REPLIES);
        written.map_err(|_| ConnectionError::WriteTimeout)??;
        Ok(())
    }

    /// Answers QUIT. If it came together with the message, whether the client read
    /// its replies shows when it closes the connection: the system reports a reset
    /// if it left something unread.
    async fn quit(&mut self) -> Result<(), ConnectionError> {
        self.flush().await?;
        let knows = self.stream.end_acknowledges();
        let Some(open) = self.unacknowledged.take_if(|_| knows) else {
            self.session.goodbye(&mut self.out);
            return self.flush().await;
        };
        if timeout(QUIT_PAUSE, self.closed()).await.unwrap_or(false) {
            open.report(Acknowledgement::Close);
            return Ok(());
        }
        self.session.goodbye(&mut self.out);
        // It may be gone, which is no error any more.
        if self.flush().await.is_ok() && timeout(CLOSE_WAIT, self.closed()).await.unwrap_or(false) {
            open.report(Acknowledgement::Close);
        }
        Ok(())
    }

    /// Waits until the client closes the connection; true if it had read everything.
    async fn closed(&mut self) -> bool {
        loop {
            let stream = &mut self.stream;
            let read = poll_fn(|context| poll_read(stream, context, |read| read.map(<[u8]>::len)));
            match read.await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}
