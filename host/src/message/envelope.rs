//! What SMTP says about a message.

use std::net::IpAddr;

use super::{Address, ReversePath};

/// Who handed the message in.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Absent where the peer is no host on a network (local submission).
    pub address: Option<IpAddr>,
    /// The name that the MTA verified by DNS.
    pub name: Option<String>,
    /// The name that the client gave in EHLO or HELO.
    pub helo: Option<String>,
    /// The authenticated user (`{auth_authen}`), absent without a login.
    pub user: Option<String>,
    /// Version of TLS on the client's connection (`{tls_version}`).
    pub tls: Option<String>,
}

/// A recipient, and on which side of our border it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message goes.
    pub address: Address,
    /// Its domain is a local domain (`local-domains` in
    /// `waxseal.toml`); such copies are never relayed.
    pub local: bool,
}

/// The envelope (RFC 5321, section 2.3.1) and who sent it.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The MTA's name for the message in its log.
    pub queue_id: String,
    /// Name of the listener in `waxseal.toml` that the message came through.
    pub listener: String,
    /// Who handed the message in.
    pub client: Client,
    /// Envelope sender.
    pub sender: ReversePath,
    /// All recipients, in the order of their RCPT commands.
    pub recipients: Vec<Recipient>,
}
