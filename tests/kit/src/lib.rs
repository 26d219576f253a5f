//! What the end-to-end tests stand on: a private Postfix, SMTP servers as the
//! far ends, the real `waxseal` command, and verifiers of DKIM that share no
//! code with it.
//!
//! [`Rig`] puts them together. Each rig has a folder and a loopback address of
//! its own, so any number of them run side by side; all that it starts ends
//! with it, whatever becomes of the test ([`guard`]).

pub mod auth;
pub mod cpu;
pub mod dkim;
pub mod guard;
pub mod hostile;
pub mod milter;
pub mod postfix;
pub mod rig;
pub mod sink;
pub mod smtp;
pub mod stages;
pub mod test_dir;
pub mod wait;
pub mod waxseal;

pub use rig::{LISTED, Rig, RigBuilder};
pub use sink::{Delivery, Sink};
pub use smtp::{Client, Reply};
pub use wait::wait_for;
