//! Settings that are allowed but likely not meant.

use std::collections::BTreeSet;

use crate::settings::{Choices, Notes, Settings};

/// Warns of types without a relay, and of notices and relays that nothing uses.
pub(crate) fn warn(settings: &Settings, notes: &Notes) {
    types_without_relay(settings, notes);
    let used: BTreeSet<usize> = all_choices(settings)
        .filter_map(|it| it.notices.as_ref())
        .flatten()
        .copied()
        .collect();
    for (index, notice) in settings.notices.iter().enumerate() {
        if !used.contains(&index) {
            let message = format!("the notice \"{}\" is used nowhere", notice.id);
            notes.warn(notice.span.clone(), message, "`notices = [ … ]` names it");
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
