//! Delivery: what passes from the milter to the delivery agent.
//!
//! The [plan](plan) of a message says by which relays it goes.

pub mod plan;
