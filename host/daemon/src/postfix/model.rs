//! The parts of the Postfix configuration as data.

use std::path::PathBuf;

use serde::Serialize;

/// The Postfix configuration for one `waxseal.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setup {
    /// Folder of the tables and maps.
    pub folder: PathBuf,
    /// Lines for `main.cf`.
    pub main: Vec<Setting>,
    /// Services for `master.cf`.
    pub services: Vec<Service>,
    /// Milters for existing services of the administrator.
    pub attachments: Vec<Attachment>,
    /// Destinations that `milter_header_checks` accepts for `FILTER`.
    pub destinations: Vec<String>,
    /// Password maps, without the passwords.
    pub password_maps: Vec<PasswordMap>,
    /// Notes for the administrator.
    pub notes: Vec<String>,
}

/// A parameter of `main.cf`, or an override in `master.cf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value in Postfix syntax.
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

/// A service of `master.cf`, without chroot: transports read maps and certificates
/// by absolute paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Purpose, for the comment.
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

/// A milter for existing services; the administrator chooses the services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Name of the listener in `waxseal.toml`.
    pub listener: String,
    /// Description of the services.
    pub services: String,
    /// Parameters given with `-o`.
    pub settings: Vec<Setting>,
}

/// A file with the login for one relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PasswordMap {
    /// Name of the relay.
    pub relay: String,
    /// The map, a `texthash:` table.
    pub file: PathBuf,
    /// The key: the nexthop, so that the password is not sent to another server.
    pub key: String,
    /// User name.
    pub user: String,
    /// File that contains the password.
    pub password_file: PathBuf,
}
