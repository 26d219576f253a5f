//! Handing a message on, with `lettre`.

use std::time::Duration;

use anyhow::Context as _;
use lettre::address::Envelope;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use waxseal::message::ReversePath;

/// How long a server may take for one step. Clients wait for ten minutes
/// (RFC 5321, section 4.5.3.2.6): all servers of a route fit into that.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A message that is ready to leave.
pub(crate) struct ReadyMessage {
    /// Return path.
    pub(crate) sender: ReversePath,
    /// Recipients.
    pub(crate) recipients: Vec<String>,
    /// Header and body.
    pub(crate) message: Vec<u8>,
}

/// Hands a message to the first server of the route that takes it, for all
/// recipients. Gives the server that did.
///
/// # Errors
///
/// When none did: the reason of the last.
pub(crate) async fn deliver(
    outgoing: &ReadyMessage,
    route: &[(String, u16)],
) -> anyhow::Result<String> {
    let envelope = envelope(outgoing)?;
    let mut last = anyhow::anyhow!("the route is empty");
    for (host, port) in route {
        let server = format!("{host}:{port}");
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .timeout(Some(TIMEOUT))
            .build();
        match transport.send_raw(&envelope, &outgoing.message).await {
            Ok(_) => return Ok(server),
            Err(error) => {
                tracing::warn!(server, "did not take the message: {error}");
                last = anyhow::Error::new(error).context(server);
            }
        }
    }
    Err(last)
}

fn envelope(outgoing: &ReadyMessage) -> anyhow::Result<Envelope> {
    let address = |text: &str| {
        text.parse::<Address>()
            .with_context(|| format!("lettre does not send to or from {text}"))
    };
    let sender = match &outgoing.sender {
        ReversePath::Null => None,
        ReversePath::Address(sender) => Some(address(sender.as_str())?),
    };
    let recipients = outgoing.recipients.iter().map(|text| address(text));
    Ok(Envelope::new(
        sender,
        recipients.collect::<Result<_, _>>()?,
    )?)
}
