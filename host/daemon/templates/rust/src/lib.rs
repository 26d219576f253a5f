//! A policy that sends bulk mail by a relay of its own, and holds messages to
//! remote recipients with attachments that could be programs.

use waxseal_policy::{
    Configured, Decision, Facts, Message, Policy, Problem, Reference, ReferenceKind,
};

/// The policy with its settings.
struct Settings {
    bulk_relay: String,
    held_endings: Vec<String>,
}

waxseal_policy::export!(Settings);

impl Policy for Settings {
    fn configure(text: &str) -> Result<(Self, Configured), Vec<Problem>> {
        let mut configured = Configured::default();
        let (settings, problems) = waxseal_settings::read(text, |table| {
            table.require("bulk-relay", "the name of a relay");
            let relay = table.string("bulk-relay");
            let endings = table.strings("held-endings").unwrap_or_default();
            if let Some(name) = &relay {
                let kind = ReferenceKind::Relay;
                let reference = Reference::at(name.span.clone(), kind, name.value.clone());
                configured.references.push(reference);
            }
            Self {
                bulk_relay: relay.map(|name| name.value).unwrap_or_default(),
                held_endings: endings.iter().map(|end| end.value.to_lowercase()).collect(),
            }
        });
        match problems.is_empty() {
            true => Ok((settings, configured)),
            false => Err(problems.into_iter().map(problem).collect()),
        }
    }

    fn decide(&self, message: &Message, _: &Facts) -> Result<Decision, String> {
        let remote = message.recipients().iter().any(|to| !to.local);
        if remote && let Some(why) = self.why_held(message) {
            return Ok(Decision::hold(&why).reason(&why));
        }
        if message.has_trait("bulk") || message.has_trait("list") {
            let bulk = Decision::accept().relay(&self.bulk_relay);
            return Ok(bulk.label("type", "bulk"));
        }
        Ok(Decision::accept().label("type", "personal"))
    }
}

impl Settings {
    fn why_held(&self, message: &Message) -> Option<String> {
        let names = message.attachments().into_iter().filter_map(|part| part.name);
        for name in names {
            let lower = name.to_lowercase();
            let mut endings = self.held_endings.iter();
            if let Some(ending) = endings.find(|ending| lower.ends_with(*ending)) {
                return Some(format!("the attachment {name} ends with {ending}"));
            }
        }
        None
    }
}

fn problem(given: waxseal_settings::Problem) -> Problem {
    let problem = Problem::at(given.span, given.message);
    match given.expected {
        Some(expected) => problem.expected(expected),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_mail_takes_its_relay() {
        let (policy, _) = Settings::configure("bulk-relay = \"one\"").expect("settings");
        let message = Message::builder().with_trait("bulk").build();
        let decision = policy.decide(&message, &Facts::default());
        assert_eq!(decision.expect("a decision").route[0].relay, "one");
    }
}
