//! The parts of the Postfix configuration as data.

use std::path::PathBuf;

use serde::Serialize;

use super::lines::{items, milter_address};

/// Extension of the files with passwords.
pub(super) const PASSWORD_MAP: &str = "password";

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
    /// What happens to a value that the administrator has set.
    #[serde(skip_serializing_if = "Merge::is_replace")]
    pub merge: Merge,
}

/// What happens to a value of `main.cf` that the administrator has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// It is replaced.
    #[default]
    Replace,
    /// It is a list of tables, which ours precedes.
    TableFirst,
    /// It is a list of milters, which ours follows: it signs what the others have
    /// changed.
    MilterLast,
}

impl Merge {
    fn is_replace(&self) -> bool {
        *self == Self::Replace
    }
}

impl Setting {
    pub(super) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            merge: Merge::Replace,
        }
    }

    pub(super) fn merged(self, merge: Merge) -> Self {
        Self { merge, ..self }
    }

    /// The value for a `main.cf` in which the administrator has set `existing`.
    pub(super) fn with_existing(&self, existing: Option<&str>) -> String {
        let known = |item: &str| match self.merge {
            Merge::MilterLast => milter_address(item) == milter_address(&self.value),
            Merge::Replace | Merge::TableFirst => item == self.value,
        };
        let others = items(existing.unwrap_or_default())
            .into_iter()
            .filter(|item| !known(item));
        let ours = std::iter::once(self.value.as_str());
        let all: Vec<&str> = match self.merge {
            Merge::Replace => return self.value.clone(),
            Merge::TableFirst => ours.chain(others).collect(),
            Merge::MilterLast => others.chain(ours).collect(),
        };
        all.join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milter_follows_those_of_the_administrator_and_occurs_once() {
        let ours = Setting::new("smtpd_milters", "{ unix:w, default_action=tempfail }")
            .merged(Merge::MilterLast);
        let cases = [
            (None, "{ unix:w, default_action=tempfail }"),
            (
                Some("inet:127.0.0.1:11332"),
                "inet:127.0.0.1:11332, { unix:w, default_action=tempfail }",
            ),
            (
                Some("unix:w, { unix:clamav, default_action=accept } {unix:w}"),
                "{ unix:clamav, default_action=accept }, { unix:w, default_action=tempfail }",
            ),
        ];
        for (existing, value) in cases {
            assert_eq!(ours.with_existing(existing), value);
        }
    }

    #[test]
    fn a_table_precedes_those_of_the_administrator() {
        let ours = Setting::new("milter_header_checks", "regexp:/w").merged(Merge::TableFirst);
        let value = ours.with_existing(Some("pcre:/a regexp:/w"));
        assert_eq!(value, "regexp:/w, pcre:/a");
    }
}
