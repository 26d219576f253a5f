//! The daemon: construction, reload and shutdown of all components.
//!
//! The [`PolicyManager`](waxseal::rollout::PolicyManager) builds policy versions in the background and activates
//! them. Messages in flight finish with the version that was active when they began.

mod error;
mod executor;
mod filter;
mod lifecycle;
mod listeners;
mod policy_tests;
mod restart;
mod signals;
mod state;

pub use error::DaemonError;
pub use filter::PolicyFilter;
pub use lifecycle::run;
pub use listeners::UnknownGroup;
pub use policy_tests::PolicyTests;
