//! Limits of relays: how much a relay gets in a day, by messages or by recipients, and
//! how that grows while a new relay is warmed up (R5, R35).
//!
//! A relay is charged when it is tried ([`charge`]), and what it did not take is given
//! back ([`RelayCharge`]). A [`LimitWatch`] says once a day that a limit is nearly or
//! fully used.

mod charge;
mod limit;
#[cfg(all(test, feature = "sqlite"))]
mod tests;
mod watch;

pub use charge::{RelayCharge, charge};
pub use limit::{DailyLimit, Growth, RelayLimits, WarmUp};
pub use watch::{LimitLevel, LimitWarning, LimitWatch};
