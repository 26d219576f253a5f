//! The plan of a message: what the milter decided and the delivery agent carries
//! out.
//!
//! It travels with the message through the queue of the MTA, in one header field
//! ([`PLAN_FIELD`](waxseal_core::message::PLAN_FIELD)), so that nothing has to be
//! remembered. The field is returned to senders in bounces, therefore it is encrypted;
//! and it is bound to the content of its message, so that it is of no use in another
//! one. Format:
//!
//! ```text
//! base64url( version (1 byte) · id of the key (4) · nonce (16) · encrypted payload · tag (16) )
//! ```
//!
//! The payload is JSON: the plan, and a digest of the content. Version, key id and nonce
//! are authenticated with it. [`seal`] makes the field and [`open`] reads it.

mod digest;
mod error;
mod field;
#[doc(hidden)]
pub mod fuzzing;
mod model;
mod nonce;
mod payload;
#[cfg(test)]
mod tests;

pub use digest::ContentDigest;
pub use error::{PlanError, SealError};
pub use field::{LONGEST_FIELD, PlanKeys, open, open_message, seal};
pub use model::{Dsn, DsnReturn, Plan, PlannedHop, PlannedRoute, RecipientPattern};
pub use nonce::PlanNonce;
