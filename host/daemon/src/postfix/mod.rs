//! The Postfix configuration for a `waxseal.toml`.
//!
//! [`Setup::of`] is a pure function from [`Config`] to the Postfix configuration:
//! lines for `main.cf`, services for `master.cf`, the table for
//! `milter_header_checks`, and a password map for each relay with a login. It
//! opens no file. An [`Installation`] is the `main.cf` and `master.cf` of a Postfix:
//! [`Setup::write`] puts one marked block into each and writes the tables beside
//! them, [`Setup::check`] compares, [`Installation::remove`] and
//! [`Installation::release`] undo it. [`reinjections`] finds content filters.
//!
//! Guarantees:
//!
//! * The transport of a relay sets all connection parameters (TLS, login, timeouts),
//!   so that `main.cf` does not affect it.
//! * Outside the blocks, nothing in `main.cf` and `master.cf` is changed.
//! * `milter_header_checks` accepts exactly the destinations of this configuration.
//! * A [`Setup`] contains no secret: passwords are read when they are written, to
//!   files of mode 0600.

mod block;
mod check;
mod in_view;
mod installation;
mod lines;
mod listeners;
mod master_cf;
mod model;
mod render;
mod setup;
mod transports;
mod undo;
mod write;

#[cfg(test)]
mod tests;

pub use block::BlockError;
pub use check::{Finding, FindingKind};
pub use in_view::reinjections;
pub use installation::{Installation, InstallationError};
pub use model::{Attachment, Merge, PasswordMap, Service, Setting, Setup};
pub use setup::QUEUE_DIRECTORY;
pub use undo::{Released, UndoError};
pub use write::{WriteError, Written};

#[cfg(doc)]
use waxseal::config::Config;
