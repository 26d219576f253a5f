//! Names of the host's own counters.

use waxseal_core::decision::RELAY_COUNTERS;

/// The counter of messages on the default route.
pub use waxseal_core::decision::DEFAULT_ROUTE_COUNTER as DEFAULT_ROUTE;

/// The counter of messages routed by a relay.
pub fn relay_counter(relay: &str) -> String {
    format!("{RELAY_COUNTERS}{relay}")
}

/// The counter of recipients for whom messages are routed by a relay. Names of relays
/// have no slash, so that no other relay has this counter.
pub fn relay_recipient_counter(relay: &str) -> String {
    format!("{RELAY_COUNTERS}{relay}/recipients")
}
