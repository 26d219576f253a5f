//! Settings of a listener.

use crate::negotiation::EarlyAccept;
use waxseal_system::server::Endpoint;

/// Settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerSettings {
    /// Its name in log lines, and for the filter.
    pub name: String,
    /// The socket.
    pub endpoint: Endpoint,
    /// When messages that the filter does not want are accepted.
    pub early_accept: EarlyAccept,
    /// Open connections at one time. `None` is an equal share of
    /// [`Limits::connections`](super::Limits::connections).
    pub connections: Option<usize>,
}

impl ListenerSettings {
    /// A listener on a socket, without settings of its own.
    pub fn new(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            name: name.into(),
            endpoint,
            early_accept: EarlyAccept::Off,
            connections: None,
        }
    }
}
