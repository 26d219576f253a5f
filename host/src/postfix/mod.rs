//! The Postfix configuration that goes with a `waxseal.toml`.
//!
//! [`Setup::of`] is a pure function from [`Config`] to what Postfix has to be
//! told: lines for `main.cf`, services for `master.cf`, the table for
//! `milter_header_checks`, and a password map for each relay with a login. It
//! opens no file; [`Setup::write`] is the one part that does, and it only ever
//! writes into a folder of its own. `main.cf` and `master.cf` stay the
//! administrator's; [`reinjections`] reads them to find content filters.
//!
//! What it promises:
//!
//! * A relay's transport says all that matters about its connection itself
//!   (TLS, login, timeouts), so that nothing in `main.cf` reaches into it.
//! * `milter_header_checks` lets through the destinations of this
//!   configuration, byte for byte, and no others.
//! * No secret is part of a [`Setup`]: passwords are read while they are
//!   written, into files of mode 0600.

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
use crate::config::Config;
