//! Settings of a listener.

use waxseal_system::server::Endpoint;

/// Settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerSettings {
    /// Its name in log lines, and in [`Delivery`](crate::Delivery).
    pub name: String,
    /// The socket. A Unix socket has mode 0660 unless it says otherwise; its
    /// directory must exist.
    pub endpoint: Endpoint,
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
            connections: None,
        }
    }
}
