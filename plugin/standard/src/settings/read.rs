//! The settings of the whole file.

use std::ops::Range;

use waxseal_policy::ReferenceKind;
use waxseal_settings::{Spanned, Table};

use super::choices::{self, Choices, ReturnPathWord};
use super::disclaimers::{self, LocalizedDisclaimer};
use super::domains::{self, DomainEntry};
use super::limits::{self, Limit, UserLimits};
use super::notes::Notes;
use super::senders::{self, Senders};
use super::types::{self, MailType};

/// All settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) top: Choices,
    /// Authorized senders of domains that do not define them.
    pub(crate) senders: Senders,
    /// Disclaimers in the order of the file.
    pub(crate) disclaimers: Vec<LocalizedDisclaimer>,
    /// Mail types in the order in which they are tried.
    pub(crate) types: Vec<MailType>,
    /// The type of a message that matches no rule, as an index into `types`.
    pub(crate) default_type: usize,
    /// Header fields that rules use, each once.
    pub(crate) headers: Vec<String>,
    pub(crate) relays: Vec<RelaySettings>,
    /// Registered domains, in the order of the file.
    pub(crate) domains: Vec<DomainEntry>,
    /// The entry for domains that are not listed.
    pub(crate) rest: Option<DomainEntry>,
    pub(crate) organization: Vec<Limit>,
    pub(crate) users: UserLimits,
    /// Another server signs mail of the default route.
    pub(crate) default_route_signs: bool,
}

/// Settings of a relay in all lists.
#[derive(Debug)]
pub(crate) struct RelaySettings {
    pub(crate) name: String,
    pub(crate) return_path: Option<Spanned<ReturnPathWord>>,
    pub(crate) signs: bool,
    /// Place of its name.
    pub(crate) span: Range<usize>,
}

/// Reads the whole file.
pub(crate) fn read(top: &Table<'_>, notes: &Notes) -> Settings {
    let disclaimers = disclaimers::read(top);
    let relays = read_relays(top, notes);
    let choices = choices::Reader {
        disclaimers: &disclaimers,
        notes,
    };
    let types::Types {
        types,
        default_type,
        headers,
    } = types::read(top, &choices);
    let top_choices = choices.read(top);
    let (domains, rest) = domains::read(top, &choices, &types);
    Settings {
        top: top_choices,
        senders: senders::read(top),
        organization: limits::read(top, "limit", "organization", notes),
        users: limits::read_users(top, notes),
        default_route_signs: top.boolean("default-route-signs").unwrap_or(false),
        disclaimers,
        types,
        default_type,
        headers,
        relays,
        domains,
        rest,
    }
}

fn read_relays(top: &Table<'_>, notes: &Notes) -> Vec<RelaySettings> {
    let entries = top.named_tables("relay");
    let read = entries.iter().map(|entry| {
        notes.refer(
            ReferenceKind::Relay,
            &entry.name.value,
            entry.name.span.clone(),
        );
        RelaySettings {
            name: entry.name.value.clone(),
            return_path: choices::return_path(&entry.table),
            signs: entry.table.boolean("signs").unwrap_or(false),
            span: entry.name.span.clone(),
        }
    });
    read.collect()
}
