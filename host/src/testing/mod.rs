//! Policy tests (R27): files that say what becomes of sample mail.
//!
//! A test file is TOML. It names what is tested (a configuration, or a policy
//! with its settings), and lists cases: a message and all that is known when it
//! is decided on, and what is expected of the decision and of the message that
//! comes out. [`Suite::read`] reads files and folders of them and tells every
//! mistake at once. [`Suite::run`] runs the cases, on all cores, with the sandbox,
//! the limits and the pipeline of production; [`Suite::run_against`] runs them
//! against a snapshot of the caller's: a version that wants to be put in
//! service, say.
//!
//! What a run promises:
//!
//! - **It repeats.** Time, counters, relay states, DNS and the secret are given;
//!   nothing is asked of the network, and no state of the host is read.
//! - **It changes nothing.** Counters are looked at and not charged. Private keys
//!   and passwords are not read: signatures are made with keys that stand for
//!   them. Files with expected messages are written by [`bless`] alone.
//! - **It ends**: each case within the limits of one decision.
//!
//! ```no_run
//! # async fn example() -> Result<(), Vec<waxseal::config::Problem>> {
//! use waxseal::testing::{Options, Suite, TestEnvironment};
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
mod report;
mod run;
mod stamp;
mod suite;
#[cfg(test)]
mod tests;
mod text;

pub use bless::{Blessed, bless};
pub use environment::TestEnvironment;
pub use failure::Failure;
pub use report::{CaseReport, Report};
pub use run::{Options, Progress};
pub use stamp::{Stamps, stamps};
pub use suite::{Suite, test_files};
