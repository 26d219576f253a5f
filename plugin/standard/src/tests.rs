//! Tests of the standard policy: settings in, decisions out.

mod documents;
mod requirements;
mod senders;
mod settings;

use waxseal_policy::{Configured, Decision, Facts, Message, MessageBuilder, Policy, Problem};

use crate::StandardPolicy;

fn configure(settings: &str) -> (StandardPolicy, Configured) {
    StandardPolicy::configure(settings).expect("settings without problems")
}

fn problems(settings: &str) -> Vec<Problem> {
    StandardPolicy::configure(settings).expect_err("settings with problems")
}

/// The decision on a message under these settings.
fn decide(settings: &str, message: MessageBuilder) -> Decision {
    let (policy, _) = configure(settings);
    let message = message.build();
    policy
        .decide(&message, &Facts::default())
        .expect("a decision")
}

/// A message whose author is also the envelope sender.
fn from(author: &str) -> MessageBuilder {
    Message::builder().author(author).sender(author)
}

fn relays(decision: &Decision) -> Vec<&str> {
    let hops = decision.route.iter();
    hops.map(|hop| hop.relay.as_str()).collect()
}

fn label<'a>(decision: &'a Decision, name: &str) -> &'a str {
    let label = decision.labels.iter().find(|label| label.name == name);
    label.map_or("", |label| &label.value)
}

/// The text to which a problem or a reference refers.
fn pointed_at(settings: &str, offset: u32, length: u32) -> &str {
    &settings[offset as usize..(offset + length) as usize]
}
