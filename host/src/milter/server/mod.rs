//! Sockets, limits and an orderly stop.
//!
//! Each connection is a task of its own. Trouble on one (frames that make no
//! sense, an MTA that went away, a panic in the filter) ends in one log line and
//! touches no other. Log lines carry listener, peer and queue id.

mod byte_budget;
mod connection;
mod connection_slots;
mod guard;
mod process;
mod socket;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use socket::{BindError, Endpoint, UnixSocket};
pub(crate) use socket::{SocketFile, bind_unix};

use self::byte_budget::ByteBudget;
use self::connection::{Connection, ConnectionError};
use self::connection_slots::{ConnectionSlot, ConnectionSlots};
use self::guard::catch_panic;
use self::socket::{Accepted, Open, Transport};
use super::filter::{Filter, Listener};
use super::negotiation::EarlyAccept;
use super::session::Session;
use crate::decision::{Reply, Verdict};
use crate::message;
use crate::pool::Pool;

/// How long to wait after the system refused to accept a connection (no file
/// descriptors, say): trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Its name in `waxseal.toml`.
    pub name: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// When messages that the filter does not want are let go.
    pub early_accept: EarlyAccept,
    /// Connections at a time; none is an equal share of those of all listeners.
    pub connections: Option<usize>,
}

/// What the server holds itself to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time, all listeners together. More wait to be accepted.
    pub connections: usize,
    /// How long a new connection may take for option negotiation and CONNECT,
    /// which MTAs send at once. Until then it makes room for others.
    pub first_command_timeout: Duration,
    /// Most of everything that a message may have, unless the filter says
    /// otherwise.
    pub message: message::Limits,
    /// From a complete message to its answer, unless the filter says otherwise.
    pub processing_timeout: Duration,
    /// Bytes of memory for messages at a time.
    pub memory: usize,
    /// How long a message waits for room among the bytes held. Shorter than the
    /// MTA's patience (Postfix: `milter_content_timeout`, 300 s).
    pub memory_wait: Duration,
    /// Longest silence of an MTA. A connection lasts as long as the SMTP session
    /// behind it, and cutting it in between fails the next message; libmilter
    /// allows 7,210 s.
    pub idle_timeout: Duration,
    /// Longest wait for an MTA to take a reply.
    pub write_timeout: Duration,
    /// How often the MTA is told that a decision is still being worked on.
    /// Shorter than the MTA's patience for a command (Postfix: 30 s).
    pub progress_interval: Duration,
    /// How long an orderly stop waits for messages in flight.
    pub shutdown_timeout: Duration,
    /// How long it waits for those that are complete and being processed.
    pub shutdown_processing_timeout: Duration,
    /// What a message gets that fails for a reason of ours; a 4yz reply.
    pub failure_reply: Reply,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            first_command_timeout: Duration::from_secs(10),
            message: message::Limits::default(),
            processing_timeout: Duration::from_secs(30),
            memory: 512 << 20,
            memory_wait: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(7210),
            write_timeout: Duration::from_secs(60),
            progress_interval: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            shutdown_processing_timeout: Duration::from_secs(2),
            failure_reply: Reply {
                code: 451,
                enhanced: "4.7.1".into(),
                text: "Service unavailable - try again later".into(),
            },
        }
    }
}

/// What all connections permit.
struct Shared<F> {
    filter: Arc<F>,
    limits: Limits,
    pool: Arc<Pool>,
    budget: ByteBudget,
    slots: Arc<ConnectionSlots>,
}

/// Listeners that are open and wait to be served.
pub struct Server<F> {
    shared: Arc<Shared<F>>,
    open: Vec<(Arc<Listener>, Endpoint, Open)>,
}

impl Limits {
    /// What a message gets that fails for a reason of ours.
    fn failure(&self) -> Verdict {
        Verdict::Defer(self.failure_reply.clone())
    }
}

impl<F: Filter> Server<F> {
    /// Opens all listeners. Messages are processed by the threads of `pool`.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be opened; none stays open then.
    pub fn bind(
        listeners: &[ListenerSettings],
        limits: Limits,
        pool: Arc<Pool>,
        filter: Arc<F>,
    ) -> Result<Self, BindError> {
        let open = listeners
            .iter()
            .map(|settings| {
                let open = Open::bind(&settings.name, &settings.endpoint)?;
                let listener = Listener {
                    name: settings.name.as_str().into(),
                    early_accept: settings.early_accept,
                };
                Ok((Arc::new(listener), open.endpoint(&settings.endpoint), open))
            })
            .collect::<Result<_, BindError>>()?;
        let permit = (limits.connections / listeners.len().max(1)).max(1);
        let places = listeners
            .iter()
            .map(|listener| listener.connections.unwrap_or(permit));
        let shared = Shared {
            filter,
            pool,
            budget: ByteBudget::new(limits.memory),
            slots: ConnectionSlots::new(limits.connections, places),
            limits,
        };
        Ok(Self {
            shared: Arc::new(shared),
            open,
        })
    }

    /// Where the listeners listen, in the order of their settings; ports that
    /// the system chose are filled in.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.open.iter().map(|(_, endpoint, _)| endpoint)
    }

    /// Serves until `stop` is done; then takes no more connections, closes those
    /// on which no message is under way, and gives the others
    /// [`Limits::shutdown_timeout`] to finish. Messages that are not finished by then are
    /// the MTA's still: it finds the connection closed and tries again later.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { shared, open } = self;
        let token = CancellationToken::new();
        let mut accepting = JoinSet::new();
        for (number, (listener, _, open)) in open.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            accepting.spawn(accept(shared, number, listener, open, token.clone()));
        }
        stop.await;
        token.cancel();
        let limit = shared.limits.shutdown_timeout;
        let finished = tokio::time::timeout(limit, async {
            while accepting.join_next().await.is_some() {}
        });
        if finished.await.is_err() {
            tracing::warn!(
                "messages were still under way {limit:?} after the stop; the MTA keeps them"
            );
            accepting.shutdown().await;
        }
    }
}

/// Accepts connections until the stop, then waits for those there are. The
/// socket is closed at the stop itself. Dropping this drops the connections.
async fn accept<F: Filter>(
    shared: Arc<Shared<F>>,
    number: usize,
    listener: Arc<Listener>,
    open: Open,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    while let Some(stream) = next(&listener, &open, &mut connections, &stop).await {
        let full = || {
            tracing::warn!(
                listener = &*listener.name,
                "no place for a new connection (`connections` of the listener, limits.connections): it has to wait"
            );
        };
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            slot = shared.slots.wait(number, full) => slot,
        };
        let (shared, listener, stop) = (
            Arc::clone(&shared),
            Arc::clone(&listener),
            stop.child_token(),
        );
        match stream {
            Accepted::Tcp(stream, peer) => {
                connections.spawn(serve(shared, listener, stream, peer, stop, slot));
            }
            Accepted::Unix(stream, peer) => {
                connections.spawn(serve(shared, listener, stream, peer, stop, slot));
            }
        }
    }
    drop(open);
    while connections.join_next().await.is_some() {}
}

/// The next connection; none at the stop.
async fn next(
    listener: &Listener,
    open: &Open,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<Accepted> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            Some(_) = connections.join_next() => {}
            accepted = open.accept() => match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    tracing::error!(
                        listener = &*listener.name,
                        "cannot accept a connection: {error}"
                    );
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves one connection and tells how it ended, if not in order.
async fn serve<F: Filter, T: Transport>(
    shared: Arc<Shared<F>>,
    listener: Arc<Listener>,
    stream: T,
    peer: String,
    stop: CancellationToken,
    slot: ConnectionSlot,
) {
    let span = tracing::info_span!("milter", listener = &*listener.name, peer);
    async {
        let session = Session::new(
            Arc::clone(&shared.filter),
            listener,
            shared.limits.message,
            Timestamp::now,
        );
        let mut connection = Connection::new(stream, shared, session, stop, slot);
        let ended = catch_panic(connection.serve()).await;
        let queue_id = connection.queue_id();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(
                broken @ (ConnectionError::Io(_)
                | ConnectionError::IdleTimeout(_)
                | ConnectionError::Evicted),
            )) => {
                tracing::info!(queue_id, "{broken}");
            }
            Ok(Err(broken)) => tracing::warn!(queue_id, "{broken}"),
            Err(panic) => {
                tracing::error!(queue_id, "panicked, the connection is closed: {panic}");
            }
        }
    }
    .instrument(span)
    .await;
}
