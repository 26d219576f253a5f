//! Sending domains (R2): `[domain."acme.test"]` and `[domain.default]`.

use std::collections::BTreeSet;
use std::ops::Range;

use waxseal_settings::{Entry, Spanned, Table};

use super::{Choices, Limit, MailType, Senders, Sign, choices, limits, senders};
use crate::names::Domain;

/// Name of the entry for domains that are not listed.
const REST: &str = "default";

/// The settings of one domain.
#[derive(Debug)]
pub(crate) struct DomainEntry {
    /// In its normal form, or `default`.
    pub(crate) name: String,
    pub(crate) subdomains: bool,
    pub(crate) senders: Senders,
    pub(crate) choices: Choices,
    pub(crate) limits: Vec<Limit>,
    /// One for each mail type, in the order of the types.
    pub(crate) types: Vec<(Choices, Vec<Limit>)>,
    /// Place of its name.
    pub(crate) span: Range<usize>,
}

/// All domains that are listed, and the default entry.
pub(super) fn read(
    top: &Table<'_>,
    choices: &choices::Reader<'_>,
    types: &[MailType],
) -> (Vec<DomainEntry>, Option<DomainEntry>) {
    let mut seen = BTreeSet::new();
    let (mut domains, mut rest) = (Vec::new(), None);
    for entry in top.named_tables("domain") {
        let Spanned { value, span } = &entry.name;
        if value == REST {
            rest = Some(read_rest(entry, choices, types));
            continue;
        }
        // Read before the name is checked, so that all problems are reported.
        let name = value.parse::<Domain>();
        let shown = name.as_ref().map_or(value.as_str(), |Domain(name)| name);
        let read = read_entry(&entry, shown, choices, types);
        match name {
            Ok(Domain(name)) if !seen.insert(name.clone()) => {
                let message = format!("duplicate entry for domain {name}");
                let expected = "one entry; case is ignored".to_owned();
                top.problem(span.clone(), message, Some(expected));
            }
            Ok(_) => domains.push(read),
            Err(error) => {
                let message = format!("{error} \"{value}\"");
                let expected =
                    "a domain in quotes, [domain.\"acme.test\"], or `default`".to_owned();
                top.problem(span.clone(), message, Some(expected));
            }
        }
    }
    (domains, rest)
}

fn read_entry(
    entry: &Entry<'_>,
    name: &str,
    choices: &choices::Reader<'_>,
    types: &[MailType],
) -> DomainEntry {
    let table = &entry.table;
    let scope = format!("domain/{name}");
    DomainEntry {
        name: name.to_owned(),
        subdomains: table.boolean("subdomains").unwrap_or(false),
        senders: senders::read(table),
        choices: choices.read(table),
        limits: limits::read(table, "limit", &scope, choices.notes),
        types: read_types(table, name, choices, types),
        span: entry.name.span.clone(),
    }
}

fn read_types(
    table: &Table<'_>,
    domain: &str,
    choices: &choices::Reader<'_>,
    types: &[MailType],
) -> Vec<(Choices, Vec<Limit>)> {
    let mut read = vec![(Choices::default(), Vec::new()); types.len()];
    for entry in table.named_tables("type") {
        let Spanned { value, span } = &entry.name;
        let scope = format!("type/{domain}/{value}");
        let choices_of_type = choices.read(&entry.table);
        let limits = limits::read(&entry.table, "limit", &scope, choices.notes);
        let Some(index) = types.iter().position(|it| it.name == *value) else {
            let names: Vec<_> = types.iter().map(|it| it.name.as_str()).collect();
            let message = format!("unknown mail type \"{value}\"");
            let expected = format!("one of {}", names.join(", "));
            table.problem(span.clone(), message, Some(expected));
            continue;
        };
        let relayed = choices_of_type
            .relays
            .as_ref()
            .is_some_and(|relays| !relays.is_empty());
        if types[index].never_relayed && relayed {
            let message = format!("type \"{value}\" is never relayed, but has relays");
            let expected = format!("no relays here, or no `never-relayed` in [type.{value}]");
            let place = entry.table.span_of("relays").unwrap_or(span.clone());
            table.problem(place, message, Some(expected));
        }
        read[index] = (choices_of_type, limits);
    }
    read
}

/// The entry for domains that are not listed. It has no domain of its own to sign
/// for, and no subdomains.
fn read_rest(entry: Entry<'_>, choices: &choices::Reader<'_>, types: &[MailType]) -> DomainEntry {
    let read = read_entry(&entry, REST, choices, types);
    let table = &entry.table;
    if let Some(span) = table.span_of("subdomains") {
        let message = "`subdomains` is not allowed in the default entry, which applies to all domains that are not listed";
        table.problem(span, message, Some("no `subdomains` here".to_owned()));
    }
    let of_types = read.types.iter().map(|(choices, _)| choices);
    for place in of_types.chain([&read.choices]) {
        if let Some(sign) = place.sign.as_ref().filter(|it| it.value == Sign::Own) {
            let message = "the default entry has no domain of its own to sign for";
            let expected = "the domain to sign for, sign = [\"acme.test\"], or false".to_owned();
            table.problem(sign.span.clone(), message, Some(expected));
        }
    }
    read
}
