//! Listeners: accepting connections, and shutdown.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use waxseal_system::server::{
    Accepted, BindError, ByteBudget, ConnectionSlot, ConnectionSlots, Endpoint, Open, Transport,
    catch_panic,
};

use super::connection::Connection;
use super::limits::Limits;
use super::settings::ListenerSettings;
use super::shared::Shared;
use crate::delivery::Handler;
use crate::session::Session;

/// Pause after a failed `accept` (no file descriptors, for example): an immediate
/// retry would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An LMTP server with open listeners.
pub struct Server<H> {
    shared: Arc<Shared<H>>,
    open: Vec<(Arc<str>, Endpoint, Open)>,
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.open.iter().map(|(_, endpoint, _)| endpoint);
        f.debug_list().entries(endpoints).finish()
    }
}

impl<H: Handler> Server<H> {
    /// Opens all listeners. The stale socket file of a killed process is replaced;
    /// any other file is left alone. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened; the others are closed again.
    pub fn bind(
        listeners: &[ListenerSettings],
        limits: Limits,
        handler: Arc<H>,
    ) -> Result<Self, BindError> {
        let budget = ByteBudget::new(limits.memory);
        Self::bind_with_budget(listeners, limits, handler, budget)
    }

    /// Opens all listeners, with a memory budget that is shared with other servers.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_with_budget(
        listeners: &[ListenerSettings],
        limits: Limits,
        handler: Arc<H>,
        budget: ByteBudget,
    ) -> Result<Self, BindError> {
        let open = listeners
            .iter()
            .map(|settings| {
                let open = Open::bind(&settings.name, &settings.endpoint)?;
                let name = settings.name.as_str().into();
                Ok((name, open.endpoint(&settings.endpoint), open))
            })
            .collect::<Result<_, BindError>>()?;
        let share = (limits.connections / listeners.len().max(1)).max(1);
        let slots = listeners
            .iter()
            .map(|listener| listener.connections.unwrap_or(share));
        let shared = Shared {
            handler,
            budget,
            session: Arc::new(limits.session.clone()),
            slots: ConnectionSlots::new(limits.connections, slots),
            limits,
        };
        Ok(Self {
            shared: Arc::new(shared),
            open,
        })
    }

    /// The endpoints of the listeners, in the order of their settings, with the
    /// ports that the system chose.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.open.iter().map(|(_, endpoint, _)| endpoint)
    }

    /// Serves until `stop` resolves. Then closes the listeners, and the connections
    /// without an open message (421), and waits up to [`Limits::shutdown_timeout`]
    /// for the others. Handlers that have not finished by then are dropped: the
    /// client has no reply, and keeps the message.
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
                "shutdown timeout: messages were still open after {limit:?}; closing their connections"
            );
            accepting.shutdown().await;
        }
    }
}

/// Accepts connections until the stop, then waits for the open ones. The listening
/// socket is closed at the stop itself. Dropping this future drops the connections.
async fn accept<H: Handler>(
    shared: Arc<Shared<H>>,
    number: usize,
    listener: Arc<str>,
    open: Open,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    while let Some(stream) = next(&listener, &open, &mut connections, &stop).await {
        let full = || {
            tracing::warn!(
                listener = &*listener,
                "connection limit reached (of this listener, or of all together): new connections wait"
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

/// The next connection; `None` at the stop.
async fn next(
    listener: &str,
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
                    tracing::error!(listener, "cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves one connection and logs an error that ends it.
async fn serve<H: Handler, T: Transport>(
    shared: Arc<Shared<H>>,
    listener: Arc<str>,
    stream: T,
    peer: String,
    stop: CancellationToken,
    slot: ConnectionSlot,
) {
    let span = tracing::info_span!("lmtp", listener = &*listener, peer);
    async {
        let session = Session::new(Arc::clone(&shared.session), listener);
        let mut connection = Connection::new(stream, shared, session, stop, slot);
        let ended = catch_panic(connection.serve()).await;
        let ident = connection.ident();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_usual() => {
                tracing::info!(ident, "closing the connection: {error}");
            }
            Ok(Err(error)) => tracing::warn!(ident, "closing the connection: {error}"),
            Err(panic) => tracing::error!(ident, "closing the connection: panic: {panic}"),
        }
    }
    .instrument(span)
    .await;
}
