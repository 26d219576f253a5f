//! The Postfix configuration for a `waxseal.toml`.
//!
//! [`Setup::of`] is a pure function from [`Config`] to the Postfix configuration:
//! lines for `main.cf`, services for `master.cf`, the table for
//! `milter_header_checks`, and a password map for each relay with a login. It
//! opens no file. [`Setup::write`] writes the files to a separate folder; `main.cf`
//! and `master.cf` are not modified. [`reinjections`] reads them to find content
//! filters.
//!
//! Guarantees:
//!
//! * The transport of a relay sets all connection parameters (TLS, login, timeouts),
//!   so that `main.cf` does not affect it.
//! * `milter_header_checks` accepts exactly the destinations of this configuration.
//! * A [`Setup`] contains no secret: passwords are read when they are written, to
//!   files of mode 0600.

mod in_view;
mod listeners;
mod model;
mod render;
mod setup;
mod transports;
mod write;

#[cfg(test)]
mod tests;

pub use in_view::reinjections;
pub use model::{Attachment, PasswordMap, Service, Setting, Setup};
pub use setup::QUEUE_DIRECTORY;
pub use write::WriteError;

#[cfg(doc)]
use waxseal::config::Config;
