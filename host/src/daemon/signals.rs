//! Signals that the daemon receives, and what each of them asks for.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP, and SIGUSR1, by which other daemons open their logs anew.
    Reload,
    /// Signals without a meaning here, which would end a process that does not
    /// listen to them.
    Nothing(&'static str),
}

const ALL: [(Number, Asked); 10] = [
    (Number::TERM, Asked::Stop),
    (Number::INT, Asked::Stop),
    (Number::HUP, Asked::Reload),
    (Number::USR1, Asked::Reload),
    (Number::USR2, Asked::Nothing("SIGUSR2")),
    (Number::ALARM, Asked::Nothing("SIGALRM")),
    (Number::VTALARM, Asked::Nothing("SIGVTALRM")),
    (Number::PROF, Asked::Nothing("SIGPROF")),
    (Number::IO, Asked::Nothing("SIGIO")),
    (Number::POWER, Asked::Nothing("SIGPWR")),
];

/// All signals that are listened to.
pub(super) struct Signals(Vec<(Signal, Asked)>);

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the system does not let us.
    pub(super) fn listen() -> io::Result<Self> {
        let listen = |(number, asked): (Number, Asked)| {
            let kind = SignalKind::from_raw(number.as_raw());
            Ok((signal(kind)?, asked))
        };
        ALL.into_iter()
            .map(listen)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The next signal that asks for something.
    pub(super) async fn next(&mut self) -> Asked {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Asked::Nothing(name) => tracing::info!("{name} received: it has no meaning here"),
                asked => return asked,
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Asked> {
        for (signal, asked) in &mut self.0 {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(*asked);
            }
        }
        Poll::Pending
    }
}
