//! The parts of the configuration as data, put together from the parts of
//! `waxseal.toml` that they stand for.

use std::path::{Path, PathBuf};

use super::model::{Setting, Setup};
use super::{listeners, transports};
use crate::config::Config;
use crate::message::ROUTE_FIELD;
use crate::relay::{self, RelayRegistry};

/// Postfix's queue folder as packages set it up.
pub const QUEUE_DIRECTORY: &str = "/var/spool/postfix";

impl Setup {
    /// What Postfix has to be told for `config`, with maps in `folder`.
    ///
    /// Its queue is in `queue` ([`QUEUE_DIRECTORY`] as packages have it). Both
    /// folders have to be absolute: Postfix has a working directory of its own.
    pub fn of(config: &Config, folder: &Path, queue: &Path) -> Self {
        let listeners = listeners::of(config, queue);
        let mut destinations: Vec<String> = RelayRegistry::new(config).destinations().collect();
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
