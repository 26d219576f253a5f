//! Listeners: accepting connections, and shutdown.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use std::time::SystemTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use waxseal_system::server::{
    Accepted, BindError, ByteBudget, ConnectionSlot, ConnectionSlots, Endpoint, Open, Transport,
    catch_panic,
};

use super::connection::{Connection, ConnectionError};
use super::limits::Limits;
use super::settings::ListenerSettings;
use super::shared::Shared;
use crate::executor::{Executor, InlineExecutor};
use crate::filter::Filter;
use crate::listener::Listener;
use crate::session::Session;

/// Pause after a failed `accept` (no file descriptors, for example): an immediate
/// retry would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A milter server with open listeners.
pub struct Server<F, E = InlineExecutor> {
    shared: Arc<Shared<F, E>>,
    open: Vec<(Arc<Listener>, Endpoint, Open)>,
}

impl<F, E> fmt::Debug for Server<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.open.iter().map(|(_, endpoint, _)| endpoint);
        f.debug_list().entries(endpoints).finish()
    }
}

impl<F: Filter> Server<F> {
    /// Opens all listeners. Messages are processed on the tasks of their
    /// connections. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened; the others are closed again.
    pub fn bind(
        listeners: &[ListenerSettings],
        limits: Limits,
        filter: Arc<F>,
    ) -> Result<Self, BindError> {
        Self::bind_with(listeners, limits, filter, InlineExecutor)
    }
}

impl<F: Filter, E: Executor> Server<F, E> {
    /// Opens all listeners. Messages are processed by `executor`. Must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened; the others are closed again.
    pub fn bind_with(
        listeners: &[ListenerSettings],
        limits: Limits,
        filter: Arc<F>,
        executor: E,
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
        let share = (limits.connections / listeners.len().max(1)).max(1);
        let slots = listeners
            .iter()
            .map(|listener| listener.connections.unwrap_or(share));
        let shared = Shared {
            filter,
            executor,
            budget: ByteBudget::new(limits.memory),
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

    /// Serves until `stop` resolves. Then closes the listeners and all connections
    /// without an open message, and waits up to [`Limits::shutdown_timeout`] for
    /// the others. The MTA still has a message that is not finished by then: it
    /// finds the connection closed and applies its default action.
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
async fn accept<F: Filter, E: Executor>(
    shared: Arc<Shared<F, E>>,
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

/// Serves one connection and logs an error that ends it.
async fn serve<F: Filter, E: Executor, T: Transport>(
    shared: Arc<Shared<F, E>>,
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
            SystemTime::now,
        );
        let mut connection = Connection::new(stream, shared, session, stop, slot);
        let ended = catch_panic(connection.serve()).await;
        let queue_id = connection.queue_id();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(
                error @ (ConnectionError::Io(_)
                | ConnectionError::IdleTimeout(_)
                | ConnectionError::Evicted),
            )) => {
                tracing::info!(queue_id, "closing the connection: {error}");
            }
            Ok(Err(error)) => tracing::warn!(queue_id, "closing the connection: {error}"),
            Err(panic) => {
                tracing::error!(
                    queue_id,
                    "closing the connection: the filter panicked: {panic}"
                );
            }
        }
    }
    .instrument(span)
    .await;
}
