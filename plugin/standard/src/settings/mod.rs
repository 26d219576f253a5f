//! The settings as they are written, read and checked but not yet worked out.
//!
//! One shape, [`Choices`], stands in four places: at the top of the file, for a
//! mail type, for a domain, and for a mail type of a domain. What a message gets
//! is worked out from these in [`plan`](crate::plan), the nearest place first.
//!
//! All problems are reported at once. What cannot be read is left out and
//! reading goes on, so what is built is fit for use only without problems.

mod choices;
mod disclaimers;
mod domains;
mod maxima;
mod senders;
mod types;

use std::cell::RefCell;
use std::ops::Range;

use waxseal_policy::{Problem, Reference, ReferenceKind};
use waxseal_settings::{Spanned, Table};

pub(crate) use choices::{Choices, RelayEntry, ReturnPathWord, Sign};
pub(crate) use disclaimers::LocalizedDisclaimer;
pub(crate) use domains::DomainEntry;
pub(crate) use maxima::{Maximum, UserMaxima};
pub(crate) use senders::{Senders, Unauthorized};
pub(crate) use types::{Condition, HeaderTest, MailType, Rule};

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

/// What is noted while reading, beside problems.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    references: RefCell<Vec<Reference>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Notes {
    /// A name of the host's.
    pub(crate) fn refer(&self, kind: ReferenceKind, name: &str, span: Range<usize>) {
        let reference = Reference::at(span, kind, name);
        self.references.borrow_mut().push(reference);
    }

    /// Something allowed but likely not meant.
    pub(crate) fn warn(&self, span: Range<usize>, message: String, expected: &str) {
        let warning = Problem::at(span, message).expected(expected);
        self.warnings.borrow_mut().push(warning);
    }

    /// References and warnings, in the order of the text.
    pub(crate) fn into_parts(self) -> (Vec<Reference>, Vec<Problem>) {
        let mut references = self.references.into_inner();
        references.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
        references.dedup();
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.offset);
        (references, warnings)
    }
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
