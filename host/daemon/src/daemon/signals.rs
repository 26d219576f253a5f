//! Signal handling of the daemon.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The action that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP, and SIGUSR1, with which other daemons reopen their logs.
    Reload,
    /// Signals that are ignored; by default they would terminate the process.
    Ignored(&'static str),
}

const ALL: [(Number, Request); 10] = [
    (Number::TERM, Request::Stop),
    (Number::INT, Request::Stop),
    (Number::HUP, Request::Reload),
    (Number::USR1, Request::Reload),
    (Number::USR2, Request::Ignored("SIGUSR2")),
    (Number::ALARM, Request::Ignored("SIGALRM")),
    (Number::VTALARM, Request::Ignored("SIGVTALRM")),
    (Number::PROF, Request::Ignored("SIGPROF")),
    (Number::IO, Request::Ignored("SIGIO")),
    (Number::POWER, Request::Ignored("SIGPWR")),
];

/// Handlers of all signals.
pub(super) struct Signals(Vec<(Signal, Request)>);

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    ///
    /// If the system rejects a handler.
    pub(super) fn listen() -> io::Result<Self> {
        let listen = |(number, request): (Number, Request)| {
            let kind = SignalKind::from_raw(number.as_raw());
            Ok((signal(kind)?, request))
        };
        ALL.into_iter()
            .map(listen)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The next signal that requests an action.
    pub(super) async fn next(&mut self) -> Request {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Request::Ignored(name) => tracing::info!("ignored {name}"),
                request => return request,
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Request> {
        for (signal, request) in &mut self.0 {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(*request);
            }
        }
        Poll::Pending
    }
}
