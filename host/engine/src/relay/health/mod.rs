//! The health of relays: when a relay rests after failures, and when it is used
//! again (R7, R8, R9, R10).
//!
//! [`RelayHealth`] is a state machine without clock, lock or I/O: the time is
//! passed in, and what an administrator should know is returned as an [`Event`].
//!
//! ```text
//!            enough failures                    the rest ends
//!   ready ───────────────────▶ resting ─────────────────────────▶ probation
//!     ▲                           ▲        enough failures            │
//!     │                           └───────────────────────────────────┤
//!     └───────────────────────────────────────────────────────────────┘
//!                              a message is accepted
//! ```
//!
//! On probation, one message at a time is sent, as a probe; all others take the
//! next relay. An administrator can switch a relay off at any time, for a while or
//! for good. Switching it on makes it ready, whatever it was.
//!
//! [`HealthRegistry`] has the relays of a configuration, hands out permits that
//! cannot get lost, and returns the texts that have to outlive a restart.

mod event;
mod machine;
mod notice;
mod permit;
mod record;
mod registry;
mod remedy;
mod rules;
mod status;
#[cfg(test)]
mod tests;

pub use event::{Event, Warning};
pub use machine::RelayHealth;
pub use notice::Notice;
pub use permit::{Permit, Report, Unavailable};
pub use record::FailureRecord;
pub use registry::{AttemptToken, HealthRegistry};
pub use remedy::Remedy;
pub use rules::{HealthRules, RestEnd, Rule};
pub use status::{Availability, HealthStatus};
