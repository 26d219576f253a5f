//! The relays of a configuration: which there are, which can be used, and their
//! names in Postfix; failures of relays, and what they mean for the health of a
//! relay and for the recipients of a message; limits of relays.

mod destination;
mod failure;
pub mod health;
pub mod limits;
pub mod outcome;
mod registry;

pub use destination::{
    SPLIT_TRANSPORT, TRANSPORT_PREFIX, destination, nexthop, split_destination, transport,
};
pub use failure::{Cause, Failure, FailureClass, SmtpReply, Stage, TlsProblem};
pub use registry::RelayRegistry;
