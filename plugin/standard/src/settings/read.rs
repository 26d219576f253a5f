//! Reading of the whole file.

use std::ops::Range;

use waxseal_policy::ReferenceKind;
use waxseal_settings::{Spanned, Table};

use super::choices::{self, Choices, ReturnPathWord};
use super::disclaimers::{self, LocalizedDisclaimer};
use super::domains::{self, DomainEntry};
use super::maxima::{self, Maximum, UserMaxima};
use super::notes::Notes;
use super::senders::{self, Senders};
use super::types::{self, MailType};

/// Everything that the settings say.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) top: Choices,
    /// Who may send for domains that do not say it themselves.
    pub(crate) senders: Senders,
    /// Disclaimers in the order of the file.
    pub(crate) disclaimers: Vec<LocalizedDisclaimer>,
    /// Mail types in the order in which they are tried.
    pub(crate) types: Vec<MailType>,
    /// The type of a message that fits none, as an index into `types`.
    pub(crate) default_type: usize,
    /// Header fields that rules look at: each is asked for once.
    pub(crate) headers: Vec<String>,
    pub(crate) relays: Vec<RelaySettings>,
    /// Registered domains, in the order of the file.
    pub(crate) domains: Vec<DomainEntry>,
    /// The entry for domains that are not listed.
    pub(crate) rest: Option<DomainEntry>,
    pub(crate) organisation: Vec<Maximum>,
    pub(crate) users: UserMaxima,
    /// The MTA's own delivery is signed further on.
    pub(crate) default_route_signs: bool,
}

/// What holds for a relay wherever it is named.
#[derive(Debug)]
pub(crate) struct RelaySettings {
    pub(crate) name: String,
    pub(crate) return_path: Option<Spanned<ReturnPathWord>>,
    pub(crate) signs: bool,
    /// Where its name stands.
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
        organisation: maxima::read(top, "maximum", "organisation", notes),
        users: maxima::read_users(top, notes),
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
