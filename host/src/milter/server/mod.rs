//! Sockets, limits and an orderly stop.
//!
//! Each connection is a task of its own. Trouble on one (frames that make no
//! sense, an MTA that went away, a panic in the filter) ends in one log line and
//! touches no other. Log lines carry listener, peer and queue id.

mod budget;
mod connection;
mod guard;
mod socket;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use socket::{BindError, Endpoint, UnixSocket};
pub(crate) use socket::{SocketFile, bind_unix};

use self::budget::Budget;
use self::connection::{Broken, Connection};
use self::guard::unwound;
use self::socket::{Accepted, Open, Transport};
use super::filter::{Filter, Listener};
use super::negotiation::LetGo;
use super::session::{Session, SizeLimit};
use crate::decision::{Reply, Verdict};

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
    pub let_go: LetGo,
}

/// What the server holds itself to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time, all listeners together. More wait to be accepted.
    pub connections: usize,
    /// Most bytes of one message, and what becomes of larger ones.
    pub message: SizeLimit,
    /// Most bytes of messages held at a time.
    pub held: usize,
    /// How long a message waits for room among the bytes held. Shorter than the
    /// MTA's patience (Postfix: `milter_content_timeout`, 300 s).
    pub held_wait: Duration,
    /// Longest silence of an MTA. A connection lasts as long as the SMTP session
    /// behind it, and cutting it in between fails the next message; libmilter
    /// allows 7,210 s.
    pub idle: Duration,
    /// Longest wait for an MTA to take a reply.
    pub write: Duration,
    /// How often the MTA is told that a decision is still being worked on.
    /// Shorter than the MTA's patience for a command (Postfix: 30 s).
    pub progress: Duration,
    /// Longest time for a decision.
    pub answer: Duration,
    /// How long an orderly stop waits for messages in flight.
    pub stop: Duration,
    /// What a message gets that fails for a reason of ours; a 4yz reply.
    pub failure: Reply,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            message: SizeLimit {
                bytes: 50_000_000,
                verdict: Verdict::Reject(Reply {
                    code: 552,
                    enhanced: "5.3.4".into(),
                    text: "Message is too large".into(),
                }),
            },
            held: 512 << 20,
            held_wait: Duration::from_secs(20),
            idle: Duration::from_secs(7210),
            write: Duration::from_secs(60),
            progress: Duration::from_secs(10),
            answer: Duration::from_secs(240),
            stop: Duration::from_secs(30),
            failure: Reply {
                code: 451,
                enhanced: "4.7.1".into(),
                text: "Service unavailable - try again later".into(),
            },
        }
    }
}

/// What all connections share.
struct Shared<F> {
    filter: Arc<F>,
    limits: Limits,
    size: Arc<SizeLimit>,
    budget: Budget,
    connections: Arc<Semaphore>,
}

/// Listeners that are open and wait to be served.
pub struct Server<F> {
    shared: Arc<Shared<F>>,
    open: Vec<(Arc<Listener>, Endpoint, Open)>,
}

impl<F: Filter> Server<F> {
    /// Opens all listeners.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be opened; none stays open then.
    pub fn bind(
        listeners: &[ListenerSettings],
        limits: Limits,
        filter: Arc<F>,
    ) -> Result<Self, BindError> {
        let open = listeners
            .iter()
            .map(|settings| {
                let open = Open::bind(&settings.name, &settings.endpoint)?;
                let listener = Listener {
                    name: settings.name.as_str().into(),
                    let_go: settings.let_go,
                };
                Ok((Arc::new(listener), open.endpoint(&settings.endpoint), open))
            })
            .collect::<Result<_, BindError>>()?;
        let shared = Shared {
            filter,
            size: Arc::new(limits.message.clone()),
            budget: Shared::<F>::budget_of(&limits),
            connections: Arc::new(Semaphore::new(limits.connections)),
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
    /// [`Limits::stop`] to finish. Messages that are not finished by then are
    /// the MTA's still: it finds the connection closed and tries again later.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { shared, open } = self;
        let token = CancellationToken::new();
        let mut accepting = JoinSet::new();
        for (listener, _, open) in open {
            accepting.spawn(accept(Arc::clone(&shared), listener, open, token.clone()));
        }
        stop.await;
        token.cancel();
        let limit = shared.limits.stop;
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
    listener: Arc<Listener>,
    open: Open,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    while let Some(accepted) = next(&shared, &listener, &open, &mut connections, &stop).await {
        let (stream, permit) = accepted;
        let (shared, listener, stop) = (
            Arc::clone(&shared),
            Arc::clone(&listener),
            stop.child_token(),
        );
        match stream {
            Accepted::Tcp(stream, peer) => {
                connections.spawn(serve(shared, listener, stream, peer, stop, permit));
            }
            Accepted::Unix(stream, peer) => {
                connections.spawn(serve(shared, listener, stream, peer, stop, permit));
            }
        }
    }
    drop(open);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for one; none at the stop.
async fn next<F: Filter>(
    shared: &Shared<F>,
    listener: &Listener,
    open: &Open,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let permit = match Arc::clone(&shared.connections).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            tracing::warn!(
                listener = &*listener.name,
                "{} connections are open (limits.connections): more have to wait",
                shared.limits.connections
            );
            tokio::select! {
                permit = Arc::clone(&shared.connections).acquire_owned() => permit.ok()?,
                () = stop.cancelled() => return None,
            }
        }
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            Some(_) = connections.join_next() => {}
            accepted = open.accept() => match accepted {
                Ok(accepted) => return Some((accepted, permit)),
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
    permit: OwnedSemaphorePermit,
) {
    let span = tracing::info_span!("milter", listener = &*listener.name, peer);
    async {
        let session = Session::new(
            Arc::clone(&shared.filter),
            listener,
            Arc::clone(&shared.size),
            Timestamp::now,
        );
        let mut connection = Connection::new(stream, shared, session, stop);
        let ended = unwound(connection.serve()).await;
        let queue_id = connection.queue_id();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(broken @ (Broken::Io(_) | Broken::Idle(_)))) => {
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
    drop(permit);
}
