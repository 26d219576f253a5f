//! The configuration of the host, `waxseal.toml`.
//!
//! [`read`] parses the file and reports all problems at once, each with its
//! place. An embedding program can create a [`Config`] from values instead
//! ([`Config::new`]). Whether the keys, policy and relays named in it exist is
//! checked when a policy snapshot is built.

mod defaults;
mod error;
mod model;
mod parse;
mod problem;
mod sections;
#[cfg(test)]
mod tests;
mod units;

pub use error::ConfigError;
pub use model::{
    Admin, Config, DefaultRoute, Dkim, Editing, KeepMessages, KeyFile, Limits, ListenAddress,
    Listener, Log, LogLevel, Login, Mode, OnError, Outgoing, Policy, Record, Relay, Security,
    Table, UnalignedPair,
};
pub use parse::{DEFAULT_SOCKET, read_within};
pub use parse::{examine, read, read_text};
pub use problem::{Problem, ProblemCode, Severity, Source, render};
pub use units::{ByteSize, Domain, RelayName, Share, ShareError, ShareOrNone};
