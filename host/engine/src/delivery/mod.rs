//! Delivery: what the milter and the delivery agent know of a message.
//!
//! The [plan] of a message says by which relays it goes. The [journal]
//! says which recipients have it.

pub mod journal;
pub mod plan;
