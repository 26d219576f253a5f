//! The parts of the Postfix configuration as data.

use std::path::PathBuf;

use serde::Serialize;

/// Everything that Postfix has to be told for one `waxseal.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setup {
    /// Folder of the maps that the lines below refer to.
    pub folder: PathBuf,
    /// Lines for `main.cf`.
    pub main: Vec<Setting>,
    /// Services for `master.cf`.
    pub services: Vec<Service>,
    /// Milters that belong to services which the administrator already has.
    pub attachments: Vec<Attachment>,
    /// What `FILTER` may name: all that `milter_header_checks` lets through.
    pub destinations: Vec<String>,
    /// Password maps, by reference: what is secret stays in its file.
    pub password_maps: Vec<PasswordMap>,
    /// What the administrator should know before using it.
    pub notes: Vec<String>,
}

/// A parameter of `main.cf`, or one that a service in `master.cf` overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, as Postfix reads it.
    pub value: String,
}

impl Setting {
    pub(super) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// A service of `master.cf`. None runs in a chroot: transports read maps and
/// certificates by their paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// What it is for.
    pub purpose: String,
    /// First column: a name, or `ADDRESS:PORT`.
    pub name: String,
    /// Second column: `unix` or `inet`.
    pub kind: &'static str,
    /// The program.
    pub command: &'static str,
    /// Parameters given with `-o`.
    pub settings: Vec<Setting>,
}

/// A milter for services that are the administrator's own: which of them get
/// it is not for Waxseal to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Name of the listener in `waxseal.toml`.
    pub listener: String,
    /// Which services it is meant for.
    pub services: String,
    /// What they are given with `-o`.
    pub settings: Vec<Setting>,
}

/// A file that holds the login for one relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PasswordMap {
    /// Name of the relay.
    pub relay: String,
    /// The map, a `texthash:` table.
    pub file: PathBuf,
    /// Its only key: the nexthop, so that no other server is ever offered the
    /// password.
    pub key: String,
    /// User name.
    pub user: String,
    /// Where the password stands.
    pub password_file: PathBuf,
}
