//! The interface of a store of what is known of relays.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::StateError;

/// What is known of relays, by name: a text for each, which only
/// [`relay::health`](crate::relay::health) reads. Relays fail rarely, so that it is
/// rarely written.
///
/// Every call may block on a disk or a network.
pub trait RelayStore: Debug + Send + Sync + 'static {
    /// All texts.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load(&self) -> Result<BTreeMap<String, String>, StateError>;

    /// Sets texts, or deletes them where there is none: all of them or none. They are
    /// durable when this returns.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn save(&self, changes: &[(String, Option<String>)]) -> Result<(), StateError>;
}
