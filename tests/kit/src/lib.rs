//! Kit for end-to-end tests: a private Postfix, SMTP servers as destinations, the real `waxseal` command, and DKIM verifiers
//! that share no code with it.
//!
//! [`Rig`] combines them. Each rig has a folder and a loopback address of its own, so any number of them run in parallel;
//! everything that it starts ends with it, also if the test is killed ([`guard`]).

pub mod auth;
pub mod cpu;
pub mod dkim;
pub mod guard;
pub mod hostile;
pub mod milter;
pub mod postfix;
pub mod process;
pub mod rig;
pub mod sink;
pub mod smtp;
pub mod stages;
pub mod test_dir;
pub mod wait;
pub mod waxseal;

pub use process::Process;
pub use rig::{LISTED, Rig, RigBuilder};
pub use sink::{Delivery, Sink};
pub use smtp::{Client, Reply};
pub use wait::wait_for;
