//! The settings that are allowed in four places.

use waxseal_policy::ReferenceKind;
use waxseal_settings::{Item, Spanned, Table};

use super::{LocalizedDisclaimer, Notes};
use crate::names::{Address, Domain};

/// Largest number of relays in one list (R2).
const MAX_RELAYS: usize = 3;

/// The settings of one place. `None` is a setting that the place does not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    pub(crate) relays: Option<Vec<RelayEntry>>,
    pub(crate) return_path: Option<Spanned<ReturnPathWord>>,
    pub(crate) bounce_domain: Option<Spanned<Domain>>,
    pub(crate) sign: Option<Spanned<Sign>>,
    /// Indices into the disclaimers.
    pub(crate) disclaimers: Option<Vec<usize>>,
    pub(crate) archive: Option<Vec<String>>,
    pub(crate) language: Option<String>,
}

/// A relay in a list of relays.
#[derive(Clone, Debug)]
pub(crate) struct RelayEntry {
    pub(crate) name: Spanned<String>,
    pub(crate) return_path: Option<Spanned<ReturnPathWord>>,
}

/// A return path without its bounce domain, which is a setting of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReturnPathWord {
    Keep,
    Verp,
    Author,
    Address(String),
}

/// Domains that sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Nobody,
    /// The domain of the entry that applies.
    Own,
    Domains(Vec<String>),
}

/// Reads choices, with the names that they may use.
pub(super) struct Reader<'a> {
    pub(super) disclaimers: &'a [LocalizedDisclaimer],
    pub(super) notes: &'a Notes,
}

impl Reader<'_> {
    /// The choices in this table.
    pub(super) fn read(&self, table: &Table<'_>) -> Choices {
        let addresses = |key| table.parsed_list::<Address>(key, "addresses like \"a@acme.test\"");
        Choices {
            relays: self.relays(table),
            return_path: return_path(table),
            bounce_domain: table.parsed("bounce-domain", "a domain name like \"bounce.acme.test\""),
            sign: self.sign(table),
            disclaimers: self.disclaimer_names(table),
            archive: addresses("archive")
                .map(|list| list.into_iter().map(|address| address.value.0).collect()),
            language: table.string("language").map(|language| language.value),
        }
    }

    fn relays(&self, table: &Table<'_>) -> Option<Vec<RelayEntry>> {
        let items = table.items("relays")?;
        let mut relays: Vec<RelayEntry> = Vec::with_capacity(items.len());
        for item in items {
            let Some(entry) = relay_entry(item) else {
                continue;
            };
            let (name, span) = (&entry.name.value, entry.name.span.clone());
            self.notes.refer(ReferenceKind::Relay, name, span.clone());
            if relays.iter().any(|other| other.name.value == *name) {
                let message = format!("relay \"{name}\" is named twice in this list");
                table.problem(span, message, Some("each relay once".to_owned()));
                continue;
            }
            if relays.len() == MAX_RELAYS {
                let message = format!("too many relays in this list: \"{name}\"");
                let expected = format!("one to {MAX_RELAYS} relays, in order");
                table.problem(span, message, Some(expected));
                break;
            }
            relays.push(entry);
        }
        Some(relays)
    }

    fn sign(&self, table: &Table<'_>) -> Option<Spanned<Sign>> {
        let span = table.span_of("sign")?;
        let sign = match table.type_of("sign") {
            Some("boolean") => match table.boolean("sign")? {
                true => Sign::Own,
                false => Sign::Nobody,
            },
            _ => {
                let expected = "true, false, or the domains to sign for";
                let domains = table.parsed_list::<Domain>("sign", expected)?;
                let name = |domain: Spanned<Domain>| {
                    let Domain(name) = domain.value;
                    self.notes
                        .refer(ReferenceKind::DkimDomain, &name, domain.span);
                    name
                };
                Sign::Domains(domains.into_iter().map(name).collect())
            }
        };
        Some(Spanned { value: sign, span })
    }

    fn disclaimer_names(&self, table: &Table<'_>) -> Option<Vec<usize>> {
        let names = table.strings("disclaimers")?;
        let mut indices = Vec::with_capacity(names.len());
        for name in names {
            match self.disclaimers.iter().position(|it| it.id == name.value) {
                Some(index) if !indices.contains(&index) => indices.push(index),
                Some(_) => {}
                None => {
                    let known: Vec<_> = self.disclaimers.iter().map(|it| it.id.as_str()).collect();
                    let expected = match known.is_empty() {
                        true => {
                            format!("a table [disclaimer.{}]", name.value)
                        }
                        false => format!("one of the disclaimers: {}", known.join(", ")),
                    };
                    let message = format!("unknown disclaimer \"{}\"", name.value);
                    table.problem(name.span, message, Some(expected));
                }
            }
        }
        Some(indices)
    }
}

fn relay_entry(item: Item<'_>) -> Option<RelayEntry> {
    match item {
        Item::Text(name) => Some(RelayEntry {
            name,
            return_path: None,
        }),
        Item::Table(entry) => {
            entry.require("relay", "the relay's name");
            let return_path = return_path(&entry);
            let name = entry.string("relay")?;
            Some(RelayEntry { name, return_path })
        }
    }
}

/// The return path in this table.
pub(super) fn return_path(table: &Table<'_>) -> Option<Spanned<ReturnPathWord>> {
    let text = table.string("return-path")?;
    let value = match text.value.as_str() {
        "keep" => ReturnPathWord::Keep,
        "verp" => ReturnPathWord::Verp,
        "author" => ReturnPathWord::Author,
        other => match other.parse::<Address>() {
            Ok(Address(address)) => ReturnPathWord::Address(address),
            Err(_) => {
                let message = format!("invalid return path \"{other}\"");
                let expected = "\"keep\", \"verp\", \"author\", or an address";
                table.problem(text.span, message, Some(expected.to_owned()));
                return None;
            }
        },
    };
    Some(Spanned {
        value,
        span: text.span,
    })
}
