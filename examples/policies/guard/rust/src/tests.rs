//! Native unit tests with messages from the builder. The tests of the host run the
//! guard in each language on whole messages.

use waxseal_policy::{Facts, Message, MessageBuilder, Policy as _, Verdict};

use crate::Guard;

fn guard() -> Guard {
    let settings = include_str!("../../settings.toml");
    Guard::configure(settings).expect("settings").0
}

fn to_outside() -> MessageBuilder {
    Message::builder()
        .author("Alice@acme.test")
        .recipient("bob@outside.test")
}

#[test]
fn a_listed_word_is_found_whatever_its_case() {
    let message = to_outside().text("This is COMPANY Confidential.").build();
    let decision = guard().decide(&message, &Facts::default());
    let verdict = decision.expect("a decision").verdict;
    let why = "the text says \"company confidential\"";
    assert_eq!(verdict, Verdict::Hold(why.to_owned()));
}

#[test]
fn an_excepted_author_sends_what_others_may_not() {
    let message = to_outside()
        .attachment("application/zip", None, 100)
        .build();
    let facts = Facts::builder()
        .entry("may-send-anything", "alice@acme.test", "yes")
        .build();
    let decision = guard().decide(&message, &facts).expect("a decision");
    assert_eq!(decision.verdict, Verdict::Accept);
    let held = guard().decide(&message, &Facts::default());
    assert!(matches!(held.expect("one").verdict, Verdict::Hold(_)));
}
