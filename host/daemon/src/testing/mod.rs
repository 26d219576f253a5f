//! Policy tests (R27): sample messages with the expected decisions and results.
//!
//! A test file is TOML. It names what to test (a configuration, or a policy with
//! its settings) and lists cases: a message, the facts for its decision, and the
//! expected decision and resulting message. [`Suite::read`] reads files and folders
//! of files and reports all problems at once. [`Suite::run`] runs the cases on all
//! cores, with the sandbox, the limits and the pipeline of production;
//! [`Suite::run_against`] runs them against a given snapshot, such as a candidate
//! version.
//!
//! A run is
//!
//! - **deterministic**: time, counters, relay states, DNS and the secret are inputs;
//!   no network is used, and no state of the daemon is read;
//! - **free of side effects**: counters are read and not charged. Private keys and
//!   passwords are not read: signatures use test keys. Only [`bless`] writes golden
//!   files;
//! - **bounded**: each case is subject to the limits of one decision.
//!
//! ```no_run
//! # async fn example() -> Result<(), Vec<waxseal::config::Problem>> {
//! use waxseal_daemon::testing::{Options, Suite, TestEnvironment};
//!
//! let suite = Suite::read(&["tests/policy".into()])?;
//! let mut environment = TestEnvironment::new("waxseal.toml".into());
//! let report = suite.run(&mut environment, &Options::default()).await?;
//! println!("{}", report.text());
//! # Ok(())
//! # }
//! ```

mod authentication;
mod bless;
mod check;
mod diff;
mod dns;
mod environment;
mod expected;
mod facts;
mod failure;
mod golden;
mod input;
mod lists;
mod observed;
mod pattern;
mod recorded_case;
mod report;
mod run;
mod suite;
#[cfg(test)]
mod tests;
mod text;

pub use bless::{Blessed, bless};
pub use environment::TestEnvironment;
pub use failure::Failure;
pub use recorded_case::{RecordedCaseError, recorded_case};
pub use report::{CaseReport, Report};
pub use run::{Options, Progress};
pub use suite::{Suite, test_files};
