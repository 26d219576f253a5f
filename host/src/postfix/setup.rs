//! The parts of the configuration as data, put together from the parts of
//! `waxseal.toml` that they stand for.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{listeners, transports};
use crate::ROUTE_FIELD;
use crate::config::Config;
use crate::relay;

/// Postfix's queue folder as packages set it up.
pub const QUEUE_DIRECTORY: &str = "/var/spool/postfix";

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

impl Setup {
    /// What Postfix has to be told for `config`, with maps in `folder`.
    ///
    /// Its queue is in `queue` ([`QUEUE_DIRECTORY`] as packages have it). Both
    /// folders have to be absolute: Postfix has a working directory of its own.
    pub fn of(config: &Config, folder: &Path, queue: &Path) -> Self {
        let listeners = listeners::of(config, queue);
        let mut destinations: Vec<String> = config.relays.iter().map(relay::destination).collect();
        destinations.extend(
            config
                .listeners
                .iter()
                .filter_map(|listener| listener.smtpd)
                .map(relay::split_destination),
        );
        let mut setup = Self {
            folder: folder.to_owned(),
            main: listeners.main,
            services: config
                .relays
                .iter()
                .map(|relay| transports::relay(relay, folder))
                .collect(),
            attachments: listeners.attachments,
            password_maps: config
                .relays
                .iter()
                .filter_map(|relay| transports::password_map(relay, folder))
                .collect(),
            destinations,
            notes: listeners.notes,
        };
        setup.services.extend(listeners.services);
        if !setup.destinations.is_empty() {
            let table = format!("regexp:{}", setup.header_checks_file().display());
            setup.main.push(Setting::new("milter_header_checks", table));
        }
        setup
            .notes
            .extend(config.relays.iter().filter_map(transports::note));
        setup
    }

    /// Where the table of `milter_header_checks` belongs.
    pub fn header_checks_file(&self) -> PathBuf {
        self.folder.join("milter_header_checks")
    }

    /// The table for `milter_header_checks`: a rule for each destination, in
    /// which nothing is left open, and one that tells of all others.
    ///
    /// Nothing of the header is copied into the action, so a value that
    /// slipped through could still only choose among these.
    pub fn header_checks(&self) -> String {
        let mut table = String::from(
            "# Where Waxseal may send a message. Written by `waxseal postfix`.\n\
             # Only header fields that a milter added are looked at, never a sender's.\n",
        );
        for destination in &self.destinations {
            table.push_str(&format!(
                "/^{ROUTE_FIELD}:[[:space:]]*{}[[:space:]]*$/ FILTER {destination}\n",
                escape(destination)
            ));
        }
        table.push_str(&format!(
            "/^{ROUTE_FIELD}:/ WARN no such relay here: run `waxseal postfix` again; default route taken\n"
        ));
        table
    }
}

/// A text as a POSIX extended regular expression (regexp_table(5)) that
/// matches it alone. `/` ends the pattern there, so it is escaped as well.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if !character.is_ascii_alphanumeric() && !matches!(character, '-' | '_' | ':') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
