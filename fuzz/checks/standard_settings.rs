//! Settings of the standard policy, and its decisions by them.

use waxseal_fuzz_standard::StandardPolicy;
use waxseal_policy::{Facts, Message, Policy as _};

use crate::cost::Cost;
use crate::input::Input;

pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let user = input.flag();
    let text = input.document();
    let read = Cost::DOCUMENT.hold("reading settings", text.len(), || {
        StandardPolicy::configure(&text)
    });
    let policy = match read {
        Ok((policy, configured)) => {
            for reference in configured.references {
                is_in(&text, reference.offset, reference.length);
            }
            policy
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "rejected without a problem");
            for problem in problems {
                is_in(&text, problem.offset, problem.length);
                assert!(!problem.message.is_empty());
            }
            return;
        }
    };
    let message = Message::builder()
        .author("ann@acme.test")
        .sender("ann@acme.test")
        .recipient("bob@example.org")
        .header("X-Mail-Type", "bulk");
    let message = if user {
        message.user("ann@acme.test")
    } else {
        message
    }
    .build();
    let decide = || policy.decide(&message, &Facts::default());
    let decision = Cost::MANY_PASSES.hold("deciding", text.len(), decide);
    assert_eq!(
        decision,
        decide(),
        "the same message is decided differently"
    );
}

/// Every reference and problem that is reported points into the text.
fn is_in(text: &str, offset: u32, length: u32) {
    let (offset, length) = (offset as usize, length as usize);
    assert!(
        text.get(offset..offset + length).is_some(),
        "{length} bytes at {offset}"
    );
}
