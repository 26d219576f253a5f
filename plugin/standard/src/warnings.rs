//! Warnings about settings that are valid but probably not intended.

use std::collections::BTreeSet;

use crate::names::is_within;
use crate::permission::{several, without_senders};
use crate::plan::Plans;
use crate::settings::{Choices, DomainEntry, Notes, Settings, Sign};

/// Most domains that one warning names.
const MOST_NAMES: usize = 5;

/// Warns about domains without authorized senders, signatures that are not
/// aligned, types without a relay, and unused disclaimers and relays.
pub(crate) fn warn(settings: &Settings, plans: &Plans, notes: &Notes) {
    senders_not_defined(settings, plans, notes);
    signatures_not_aligned(settings, notes);
    types_without_relay(settings, notes);
    let used: BTreeSet<usize> = all_choices(settings)
        .filter_map(|it| it.disclaimers.as_ref())
        .flatten()
        .copied()
        .collect();
    for (index, disclaimer) in settings.disclaimers.iter().enumerate() {
        if !used.contains(&index) {
            let message = format!("disclaimer \"{}\" is not used", disclaimer.id);
            notes.warn(
                disclaimer.span.clone(),
                message,
                "its name in a list `disclaimers = [ … ]`",
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
            let message = format!("relay \"{}\" is not used", relay.name);
            notes.warn(
                relay.span.clone(),
                message,
                "its name in a list `relays = [ … ]`",
            );
        }
    }
}

/// One warning for all domains without authorized senders, if several domains
/// sign or have relays.
fn senders_not_defined(settings: &Settings, plans: &Plans, notes: &Notes) {
    let undefined: Vec<_> = without_senders(settings).collect();
    let Some(first) = undefined.first() else {
        return;
    };
    if !several(&plans.active(), settings.domains.len()) {
        return;
    }
    let named = undefined.iter().take(MOST_NAMES);
    let mut names: Vec<_> = named.map(|entry| entry.name.clone()).collect();
    if undefined.len() > MOST_NAMES {
        names.push(format!("{} more", undefined.len() - MOST_NAMES));
    }
    let message = format!(
        "the settings do not define who may send as {}: a login may send for its own domain only, \
         and mail without a login is rejected",
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
/// (RFC 9989). The host does not sign for them unless its configuration allows it.
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

/// One warning for each signing domain of a place, even if the place applies to
/// several entries.
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
            "{domain} is not aligned with {author}: its signature is not valid for DMARC, and \
             mail from {author} is deferred unless waxseal.toml allows it"
        );
        let expected = format!(
            "{author}, or in waxseal.toml `[dkim] allow-unaligned = [{{ author = \"{author}\", \
             sign = \"{domain}\" }}]`"
        );
        notes.warn(sign.span.clone(), message, &expected);
    }
}

/// Types without a relay while other types have one, unless `never-relayed` or an
/// empty list shows that it is intended.
fn types_without_relay(settings: &Settings, notes: &Notes) {
    if !all_choices(settings).any(has_relays) {
        return;
    }
    for (index, mail_type) in settings.types.iter().enumerate() {
        let entries = settings.domains.iter().chain(&settings.rest);
        let choices = entries.flat_map(|domain| [&domain.types[index].0, &domain.choices]);
        let mut choices = choices.chain([&mail_type.choices, &settings.top]);
        let explicit = choices.any(|choices| choices.relays.is_some());
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
