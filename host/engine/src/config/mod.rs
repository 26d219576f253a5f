//! The configuration of the host, `waxseal.toml`.
//!
//! [`Config::new`] creates a [`Config`] from values. `read` (feature
//! `config-file`) parses `waxseal.toml` and reports all problems at once, each
//! with its place. Whether the keys, policy and relays named in a configuration
//! exist is checked when a policy snapshot is built.

mod defaults;
#[cfg(feature = "config-file")]
mod error;
mod model;
#[cfg(feature = "config-file")]
mod parse;
mod problem;
#[cfg(all(test, feature = "config-file"))]
mod tests;
mod units;

#[cfg(feature = "config-file")]
pub use error::ConfigError;
pub use model::{
    Admin, Config, DefaultRoute, Dkim, Editing, KeyFile, Limits, ListenAddress, Listener, Log,
    LogLevel, Login, MessageStorage, Mode, OnError, Outgoing, Policy, Record, Relay, Security,
    Table, UnalignedPair,
};
#[cfg(feature = "config-file")]
pub use parse::{DEFAULT_SOCKET, examine, read, read_text, read_within};
pub(crate) use problem::MAX_PROBLEMS;
pub use problem::{Problem, ProblemCode, Severity, Source};
pub use units::{ByteSize, Domain, RelayName, Share, ShareError, ShareOrNone};
