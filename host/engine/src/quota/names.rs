//! Names of the host's own counters.

use waxseal_core::decision::RELAY_COUNTERS;

/// The counter of messages on the default route.
pub use waxseal_core::decision::DEFAULT_ROUTE_COUNTER as DEFAULT_ROUTE;

/// The counter of messages routed by a relay.
pub fn relay_counter(relay: &str) -> String {
    format!("{RELAY_COUNTERS}{relay}")
}
