//! DKIM signatures over a sender's message.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use waxseal::dkim::{Key, Keys, SignError, aligned, author_domains, sign};
use waxseal::edit::{Edits, HeaderEdit, Transport, prepare};
use waxseal::message::Content;

use crate::cost::Cost;
use crate::input::Input;

/// A fixed key.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let domain = "acme.test".parse().expect("a domain");
    Keys::for_tests([&domain]).expect("a key")
});

/// Signs twice, as two hosts in sequence do. The library verifies each signature before it returns; an error there is a finding.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let header = if input.flag() {
        "From: ann@acme.test\r\n"
    } else {
        ""
    };
    let message = [header.as_bytes(), &input.text()].concat();
    let content = safe(&Content::new(message));
    authors(&content);
    let signed = signed(&content);
    if let Some(once) = signed {
        assert!(
            self::signed(&once).is_some(),
            "what was signed cannot be signed again"
        );
    }
}

/// Reads the authors, as the pipeline does before it signs.
fn authors(message: &[u8]) {
    let content = Content::new(message.to_vec());
    let domains = ["acme.test".parse().expect("a domain")];
    let read = || {
        let authors = author_domains(&content)?;
        Ok(aligned(&authors, &domains, &KEYS, &[]).is_ok())
    };
    let read = Cost::MANY_PASSES.hold("reading the authors", message.len(), read);
    if let Err(error) = read {
        let error: SignError = error;
        assert!(error.is_of_message(), "{error}");
    }
}

/// Prepares the message for transport, as before every signature.
fn safe(content: &Content) -> Vec<u8> {
    let transport = Transport {
        seven_bit: true,
        signed: true,
    };
    let prepared = prepare(content, transport);
    let edits = Edits {
        headers: prepared.headers,
        body: prepared.body,
        ..Edits::default()
    };
    edits.apply(content)
}

fn signed(message: &[u8]) -> Option<Vec<u8>> {
    let keys: &[Arc<Key>] = KEYS.for_domain("acme.test");
    let at = Timestamp::constant(1_800_000_000, 0);
    let made = Cost::MANY_PASSES.hold("signing", message.len(), || sign(message, keys, at, None));
    let signatures = match made {
        Ok(signatures) => signatures,
        Err(error @ SignError::Verify { .. }) => panic!("{error}"),
        Err(_) => return None,
    };
    assert_eq!(signatures.len(), keys.len());
    let headers = signatures.into_iter().map(|signature| {
        let lines = signature.value.split(|&byte| byte == b'\n');
        assert!(lines.clone().all(|line| line.len() < 998), "a long line");
        assert!(
            lines
                .skip(1)
                .all(|line| line.starts_with(b"\t") || line.starts_with(b" "))
        );
        HeaderEdit::Prepend {
            name: "DKIM-Signature".into(),
            value: signature.value,
        }
    });
    let edits = Edits {
        headers: headers.collect(),
        ..Edits::default()
    };
    Some(edits.apply(&Content::new(message.to_vec())))
}
