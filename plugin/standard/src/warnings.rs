//! Settings that are allowed but likely not meant.

use std::collections::BTreeSet;

use crate::names::is_within;
use crate::permission::{several, unsaid};
use crate::plan::Plans;
use crate::settings::{Choices, DomainEntry, Notes, Settings, Sign};

/// Most domains that one warning names.
const MOST_NAMES: usize = 5;

/// Warns of domains for which it is not said who may send, of signatures that
/// are not aligned, of types without a relay, and of disclaimers and relays that
/// nothing uses.
pub(crate) fn warn(settings: &Settings, plans: &Plans, notes: &Notes) {
    senders_not_said(settings, plans, notes);
    signatures_not_aligned(settings, notes);
    types_without_relay(settings, notes);
    let used: BTreeSet<usize> = all_choices(settings)
        .filter_map(|it| it.disclaimers.as_ref())
        .flatten()
        .copied()
        .collect();
    for (index, disclaimer) in settings.disclaimers.iter().enumerate() {
        if !used.contains(&index) {
            let message = format!("the disclaimer \"{}\" is used nowhere", disclaimer.id);
            notes.warn(
                disclaimer.span.clone(),
                message,
                "`disclaimers = [ … ]` names it",
            );
        }
    }
    let used: BTreeSet<&str> = all_choices(settings)
        .filter_map(|it| it.relays.as_ref())
        .flatten()
        .map(|entry| entry.name.value.as_str())
        .collect();
    for relay in &settings.relays {
        if !used.contains(relay.name.as_str()) {
            let message = format!("the relay \"{}\" is used nowhere", relay.name);
            notes.warn(relay.span.clone(), message, "`relays = [ … ]` names it");
        }
    }
}

/// Where several domains sign or are relayed, and some do not say who may send
/// for them: one warning for all.
fn senders_not_said(settings: &Settings, plans: &Plans, notes: &Notes) {
    let unsaid: Vec<_> = unsaid(settings).collect();
    let Some(first) = unsaid.first() else {
        return;
    };
    if !several(&plans.active(), settings.domains.len()) {
        return;
    }
    let named = unsaid.iter().take(MOST_NAMES);
    let mut names: Vec<_> = named.map(|entry| entry.name.clone()).collect();
    if unsaid.len() > MOST_NAMES {
        names.push(format!("{} more", unsaid.len() - MOST_NAMES));
    }
    let message = format!(
        "nothing says who may send as {}: a login may for its own domain alone, and mail without \
         a login is refused",
        names.join(", ")
    );
    let expected = format!(
        "`users = [\"*@{name}\"]`, and `networks` for clients without a login, in [domain.\"{name}\"], \
         or at the top of the file for all domains",
        name = first.name
    );
    notes.warn(first.span.clone(), message, &expected);
}

/// Signing domains that cannot be aligned with the domain of their entry
/// (RFC 9989): the host does not sign for them unless its configuration allows it.
fn signatures_not_aligned(settings: &Settings, notes: &Notes) {
    for entry in &settings.domains {
        let of_types = entry.types.iter().map(|(choices, _)| choices);
        for choices in of_types.chain([&entry.choices]) {
            not_aligned(&[entry], choices, notes);
        }
    }
    let inherit = settings.domains.iter();
    let inherit: Vec<_> = inherit.filter(|it| it.choices.sign.is_none()).collect();
    let of_types = settings.types.iter().map(|mail_type| &mail_type.choices);
    for choices in of_types.chain([&settings.top]) {
        not_aligned(&inherit, choices, notes);
    }
}

/// One warning for each signing domain of a place, whatever number of entries
/// that place holds for.
fn not_aligned(entries: &[&DomainEntry], choices: &Choices, notes: &Notes) {
    let Some(sign) = &choices.sign else {
        return;
    };
    let Sign::Domains(domains) = &sign.value else {
        return;
    };
    for domain in domains {
        let aligned = |author: &str| is_within(domain, author) || is_within(author, domain);
        let Some(entry) = entries.iter().find(|entry| !aligned(&entry.name)) else {
            continue;
        };
        let author = &entry.name;
        let message = format!(
            "{domain} is not aligned with {author}: its signature does not count for DMARC, and \
             mail from {author} is deferred unless waxseal.toml allows it"
        );
        let expected = format!(
            "{author}, or in waxseal.toml `[dkim] allow-unaligned = [{{ author = \"{author}\", \
             sign = \"{domain}\" }}]`"
        );
        notes.warn(sign.span.clone(), message, &expected);
    }
}

/// A type that no domain binds to a relay, while others are: unless the
/// settings say so themselves, with `never-relayed` or an empty list.
fn types_without_relay(settings: &Settings, notes: &Notes) {
    if !all_choices(settings).any(has_relays) {
        return;
    }
    for (index, mail_type) in settings.types.iter().enumerate() {
        let entries = settings.domains.iter().chain(&settings.rest);
        let said = entries.flat_map(|domain| [&domain.types[index].0, &domain.choices]);
        let mut said = said.chain([&mail_type.choices, &settings.top]);
        let explicit = said.any(|choices| choices.relays.is_some());
        if !explicit && !mail_type.never_relayed {
            let message = format!("no domain has a relay for type \"{}\"", mail_type.name);
            let expected = "relays for it, or `never-relayed = true`";
            notes.warn(mail_type.span.clone(), message, expected);
        }
    }
}

fn has_relays(choices: &Choices) -> bool {
    let relays = choices.relays.as_ref();
    relays.is_some_and(|relays| !relays.is_empty())
}

fn all_choices(settings: &Settings) -> impl Iterator<Item = &Choices> {
    let entries = settings.domains.iter().chain(&settings.rest);
    let domains = entries.flat_map(|domain| {
        let types = domain.types.iter().map(|(choices, _)| choices);
        types.chain([&domain.choices])
    });
    let types = settings.types.iter().map(|it| &it.choices);
    domains.chain(types).chain([&settings.top])
}
