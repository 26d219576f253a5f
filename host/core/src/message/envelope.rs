//! The SMTP envelope of a message (RFC 5321, section 2.3.1).

use std::net::IpAddr;

use super::{Address, ReversePath};

/// The client that submitted a message to the MTA.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Client {
    /// IP address; `None` for local submission (`sendmail`).
    pub address: Option<IpAddr>,
    /// Host name that the MTA verified by DNS.
    pub name: Option<String>,
    /// Host name in the client's EHLO or HELO command.
    pub helo: Option<String>,
    /// Authenticated user (milter macro `{auth_authen}`); `None` without a login.
    pub user: Option<String>,
    /// TLS version of the client's connection (milter macro `{tls_version}`).
    pub tls: Option<String>,
}

impl Client {
    /// Sets the IP address.
    #[must_use]
    pub fn with_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.address = address.into();
        self
    }

    /// Sets the host name that the MTA verified.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Option<String>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the host name of EHLO or HELO.
    #[must_use]
    pub fn with_helo(mut self, helo: impl Into<Option<String>>) -> Self {
        self.helo = helo.into();
        self
    }

    /// Sets the authenticated user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Option<String>>) -> Self {
        self.user = user.into();
        self
    }

    /// Sets the TLS version.
    #[must_use]
    pub fn with_tls(mut self, version: impl Into<Option<String>>) -> Self {
        self.tls = version.into();
        self
    }
}

/// An envelope recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// Address of the RCPT command.
    pub address: Address,
    /// Whether the domain is a local domain (`local-domains` in `waxseal.toml`).
    /// A copy for a local recipient is never relayed.
    pub local: bool,
}

impl Recipient {
    /// A recipient; `local` if its domain is a local domain.
    pub fn new(address: Address, local: bool) -> Self {
        Self { address, local }
    }
}

/// The SMTP envelope, with the client that sent it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Envelope {
    /// The MTA's queue id, as in its log.
    pub queue_id: String,
    /// Name of the listener in `waxseal.toml` that received the message.
    pub listener: String,
    /// The client that submitted the message.
    pub client: Client,
    /// Envelope sender.
    pub sender: ReversePath,
    /// Recipients, in the order of their RCPT commands.
    pub recipients: Vec<Recipient>,
}
