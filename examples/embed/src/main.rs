//! A small SMTP server that runs mail policies: Waxseal as a library, without
//! its daemon and without Postfix.
//!
//! It accepts mail from the networks in `waxseal.toml` (`[outgoing]`), runs the
//! active policy on each message, and delivers it to the chosen relay or to a next
//! hop *before* it answers the client. So it has no queue: the client keeps the
//! message until it receives 250.
//!
//! ```text
//! make policies
//! cargo run -p waxseal-embed -- --config examples/acme/waxseal.toml \
//!     --listen 127.0.0.1:2525 --next-hop 127.0.0.1:25
//! ```
//!
//! `SIGHUP` reads configuration, policy and settings again and activates them while
//! mail flows; what has problems is refused and the old version stays.
//!
//! - [`host`] is what an embedding program writes to have policies: loading,
//!   reloading, processing.
//! - `smtp` is a server on `smtp-proto`'s parsers.
//! - `deliver` hands messages on with `lettre`.

mod deliver;
mod host;
mod smtp;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::host::Host;

/// A small SMTP server that runs mail policies.
#[derive(Parser)]
struct Arguments {
    /// Waxseal's configuration: policy, relays, keys, networks.
    #[arg(long, value_name = "FILE", default_value = "waxseal.toml")]
    config: PathBuf,
    /// Where to take mail.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where mail goes that no relay takes: the default route.
    #[arg(long, value_name = "ADDRESS:PORT")]
    next_hop: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let arguments = Arguments::parse();
    let host = Arc::new(Host::open(&arguments.config, arguments.next_hop).await?);
    let listener = TcpListener::bind(arguments.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => drop(tokio::spawn(smtp::serve(stream, client, Arc::clone(&host)))),
                Err(error) => tracing::warn!("a connection that did not come about: {error}"),
            },
            // Loading takes a while: mail goes on meanwhile.
            _ = hangup.recv() => drop(tokio::spawn(Arc::clone(&host).reload())),
            _ = terminate.recv() => break,
        }
    }
    // A message whose reply is not written yet is sent again by its client.
    if let Err(error) = host.engine.close().await {
        tracing::error!("returning unused units of today's limits: {error}");
    }
    Ok(())
}
