//! A listener, as a filter sees it.

use std::sync::Arc;

use super::negotiation::EarlyAccept;

/// The listener that a message came through.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Its name, as given in [`ListenerSettings`](super::ListenerSettings).
    pub name: Arc<str>,
    /// When messages that the filter does not want are accepted.
    pub early_accept: EarlyAccept,
}

impl Listener {
    /// A listener with that name, without early accept.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            early_accept: EarlyAccept::Off,
        }
    }
}
