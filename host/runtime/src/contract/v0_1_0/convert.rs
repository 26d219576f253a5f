//! Conversion of the generated types to the types of the crate, which are the same for all
//! versions of the contract.

use super::bindings::exports::waxseal::policy::setup;
use super::bindings::waxseal::policy::types as wit;
use crate::describe::{Configured, Description, Reference, ReferenceKind, span};
use crate::error::{PolicyError, SettingsProblem};
use crate::{call, limits};
use waxseal_core::decision::{
    AuthorRewrite, Charge, Decision, Disclaimer, HeaderChange, HeaderField, Hop, Mailbox,
    Placement, Reply, ReturnPathChoice, Unit, Verdict, WhenFull, bounds, validate,
};
use waxseal_core::message::Address;

/// Converts and validates a decision.
///
/// # Errors
///
/// The part of it that cannot be applied.
pub(super) fn decision(given: wit::Decision) -> Result<Decision, PolicyError> {
    let route = given.route.into_iter().map(hop).collect::<Result<_, _>>()?;
    let mut decision = Decision {
        verdict: verdict(given.verdict),
        route,
        charges: given.charges.into_iter().map(charge).collect(),
        return_path: return_path(given.return_path)?,
        author: given.author.map(author).transpose()?,
        sender: given.sender,
        sign: given.sign,
        disclaimers: given.disclaimers.into_iter().map(disclaimer).collect(),
        headers: given.headers.into_iter().map(header_change).collect(),
        copies: given
            .copies
            .into_iter()
            .map(address)
            .collect::<Result<_, _>>()?,
        labels: given.labels.into_iter().map(field).collect(),
        reasons: given.reasons,
    };
    bounds::shorten(&mut decision);
    validate(&decision)?;
    Ok(decision)
}

fn address(text: String) -> Result<Address, PolicyError> {
    Address::parse(&text).map_err(|error| PolicyError::InvalidAddress(call::brief(&text), error))
}

fn hop(given: wit::Hop) -> Result<Hop, PolicyError> {
    Ok(Hop {
        relay: given.relay,
        return_path: given.return_path.map(return_path).transpose()?,
    })
}

fn verdict(given: wit::Verdict) -> Verdict {
    match given {
        wit::Verdict::Accept => Verdict::Accept,
        wit::Verdict::Reject(given) => Verdict::Reject(reply(given)),
        wit::Verdict::Defer(given) => Verdict::Defer(reply(given)),
        wit::Verdict::Discard => Verdict::Discard,
        wit::Verdict::Hold(why) => Verdict::Hold(why),
    }
}

fn reply(given: wit::Reply) -> Reply {
    Reply {
        code: given.code,
        enhanced: given.enhanced,
        text: given.text,
    }
}

fn charge(given: wit::Charge) -> Charge {
    Charge {
        counter: given.counter,
        unit: match given.unit {
            wit::Unit::Message => Unit::Message,
            wit::Unit::Recipient => Unit::Recipient,
        },
        maximum: given.maximum,
        full: match given.full {
            wit::WhenFull::Defer => WhenFull::Defer,
            wit::WhenFull::Reject => WhenFull::Reject,
        },
    }
}

fn return_path(given: wit::ReturnPath) -> Result<ReturnPathChoice, PolicyError> {
    Ok(match given {
        wit::ReturnPath::Keep => ReturnPathChoice::Keep,
        wit::ReturnPath::Author => ReturnPathChoice::Author,
        wit::ReturnPath::Address(text) => ReturnPathChoice::Address(address(text)?),
        wit::ReturnPath::Verp(domain) => ReturnPathChoice::Verp(domain),
    })
}

fn author(given: wit::AuthorRewrite) -> Result<AuthorRewrite, PolicyError> {
    Ok(AuthorRewrite {
        mailbox: Mailbox {
            name: given.mailbox.name,
            address: address(given.mailbox.address)?,
        },
        keep_in_name: given.keep_in_name,
        reply_to: given.reply_to,
    })
}

fn disclaimer(given: wit::Disclaimer) -> Disclaimer {
    Disclaimer {
        id: given.id,
        text: given.text,
        html: given.html,
        placement: match given.placement {
            wit::Placement::Top => Placement::Top,
            wit::Placement::AboveQuote => Placement::AboveQuote,
            wit::Placement::Bottom => Placement::Bottom,
        },
    }
}

fn field(given: wit::HeaderField) -> HeaderField {
    HeaderField {
        name: given.name,
        value: given.value,
    }
}

fn header_change(given: wit::HeaderChange) -> HeaderChange {
    match given {
        wit::HeaderChange::Add(given) => HeaderChange::Add(field(given)),
        wit::HeaderChange::Replace(given) => HeaderChange::Replace(field(given)),
        wit::HeaderChange::Remove(name) => HeaderChange::Remove(name),
    }
}

pub(super) fn description(given: setup::Description) -> Description {
    Description {
        name: call::brief(&given.name),
        version: call::brief(&given.version),
        settings_schema: given.settings_schema,
    }
}

pub(super) fn configured(given: setup::Configured, settings: &str) -> Configured {
    let references = given.references.into_iter();
    Configured {
        references: references.map(|given| reference(given, settings)).collect(),
        warnings: problems(given.warnings, settings),
    }
}

pub(super) fn problems(given: Vec<setup::Problem>, settings: &str) -> Vec<SettingsProblem> {
    let problem = |given: setup::Problem| SettingsProblem {
        span: span(settings, given.offset, given.length),
        message: call::brief(&given.message),
        expected: given.expected.as_deref().map(call::brief),
    };
    // Finding the line of a problem requires reading the settings up to it.
    let shown = given.into_iter().take(limits::SETTINGS_PROBLEMS);
    shown.map(problem).collect()
}

fn reference(given: setup::Reference, settings: &str) -> Reference {
    Reference {
        kind: match given.kind {
            setup::ReferenceKind::Relay => ReferenceKind::Relay,
            setup::ReferenceKind::DkimDomain => ReferenceKind::DkimDomain,
            setup::ReferenceKind::Table => ReferenceKind::Table,
            setup::ReferenceKind::Counter => ReferenceKind::Counter,
        },
        name: call::brief(&given.name),
        span: span(settings, given.offset, given.length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_a_policy_reports_a_bounded_number_of_problems() {
        let problem = setup::Problem {
            offset: 0,
            length: 0,
            message: "wrong".to_owned(),
            expected: None,
        };
        let reported = problems(vec![problem; 40_000], "");
        assert_eq!(reported.len(), limits::SETTINGS_PROBLEMS);
    }
}
