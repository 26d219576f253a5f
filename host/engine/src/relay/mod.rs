//! The relays of a configuration: which there are, which can be used, and their
//! names in Postfix.

mod destination;
mod registry;

pub use destination::{
    SPLIT_TRANSPORT, TRANSPORT_PREFIX, destination, nexthop, split_destination, transport,
};
pub use registry::RelayRegistry;
