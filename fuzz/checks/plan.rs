//! Plans of messages, which come back from the queue of the MTA.

use std::sync::LazyLock;

use waxseal::crypto::Secret;
use waxseal::delivery::plan::{PlanError, PlanKeys, fuzzing, open, open_message, seal};
use waxseal::message::{Content, PLAN_FIELD};

use crate::cost::Cost;
use crate::input::Input;

static KEYS: LazyLock<PlanKeys> =
    LazyLock::new(|| PlanKeys::new(&Secret::from_bytes([7; 32]), [&Secret::from_bytes([8; 32])]));

/// What nobody with the secret made is not opened. A payload, as if it were authentic, is
/// a plan that is sealed and opened to the same, or invalid; and what was sealed is
/// not opened once a byte of it has changed.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let at = usize::from(input.option(255));
    let flip = input.option(126) + 1;
    let text = input.text();
    let digest = fuzzing::digest(flip);
    let opened = Cost::PASSES.hold("a field", text.len(), || open(&KEYS, &text, &digest));
    assert!(opened.is_err(), "a forged plan is opened");
    fields(&text);
    let read = || fuzzing::read_payload(&text);
    let Some((plan, payload)) = Cost::DOCUMENT.hold("a payload", text.len(), read) else {
        return;
    };
    let again = fuzzing::read_payload(&payload);
    assert_eq!(again.map(|(again, _)| again).as_ref(), Some(&plan));
    let Ok(field) = seal(&KEYS, &plan, &digest) else {
        return;
    };
    for line in field.split("\r\n ") {
        assert!(line.len() <= 64 && line.is_ascii(), "a line: {line}");
    }
    assert_eq!(open(&KEYS, field.as_bytes(), &digest).as_ref(), Ok(&plan));
    let other = open(&KEYS, field.as_bytes(), &fuzzing::digest(0));
    assert_eq!(other.err(), Some(PlanError::OtherContent));
    let mut altered = field.into_bytes();
    let at = at * altered.len() / 255;
    altered[at] ^= flip;
    if let Ok(opened) = open(&KEYS, &altered, &digest) {
        // White space became other white space.
        assert!(
            altered[at].is_ascii_whitespace(),
            "an altered plan is opened"
        );
        assert_eq!(opened, plan);
    }
}

/// The lines as fields of one message.
fn fields(text: &[u8]) {
    let mut message = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        message.extend_from_slice(PLAN_FIELD.as_bytes());
        message.push(b':');
        message.extend(line.iter().filter(|byte| !matches!(byte, b'\r' | 0)));
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\nbody\r\n");
    let content = Content::new(message);
    let size = content.bytes().len();
    let opened = Cost::MANY_PASSES.hold("a message", size, || open_message(&KEYS, &content));
    assert!(opened.is_err(), "a forged plan is opened");
}
