//! Disclaimers in a sender's message, and its preparation for transport.

use waxseal::decision::{Disclaimer, Placement};
use waxseal::edit::{
    Context, Edits, Outcome, Settings, Transport, UneditableAction, Warning, insert, is_safe,
    prepare,
};
use waxseal::message::Content;

use crate::cost::Cost;
use crate::input::Input;

/// Placement, text, wrapping and the header are options; the text is the message, or its body.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let disclaimer = disclaimer(&mut input);
    let uneditable = if input.flag() {
        UneditableAction::Wrap
    } else {
        UneditableAction::Leave
    };
    let header = HEADERS[usize::from(input.option(HEADERS.len() as u8))];
    let message = [header.as_bytes(), &input.text()].concat();
    let content = Content::new(message);
    let size = content.bytes().len();
    let context = Context {
        null_sender: false,
        settings: Settings {
            uneditable,
            encrypted: uneditable,
            ..Settings::default()
        },
    };
    let made = Cost::MANY_PASSES.hold("the disclaimer", size, || {
        insert(&content, &context, std::slice::from_ref(&disclaimer))
    });
    let outcome = made.reports[0].outcome;
    if outcome == Outcome::Skipped {
        assert!(
            made.body.is_none() && made.headers.is_empty(),
            "skipped, but edited"
        );
    }
    let edits = Edits {
        headers: made.headers,
        body: made.body,
        ..Edits::default()
    };
    let after = Content::new(edits.apply(&content));
    if outcome == Outcome::Inserted {
        assert_eq!(
            files(&content),
            files(&after),
            "a part that is no text changed"
        );
    }
    transport(&after);
}

fn disclaimer(input: &mut Input<'_>) -> Disclaimer {
    let placement = match input.option(3) {
        0 => Placement::Top,
        1 => Placement::AboveQuote,
        _ => Placement::Bottom,
    };
    let text = if input.flag() {
        "社外秘の情報が含まれています"
    } else {
        "Confidential, Acme Ltd."
    };
    Disclaimer {
        id: "fuzz".into(),
        text: text.into(),
        html: None,
        placement,
    }
}

/// Headers of a single text, so that the fuzzer need not find them. Without one, the input is the complete message.
const HEADERS: [&str; 10] = [
    "",
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Type: text/html\r\n\r\n",
    "Content-Type: text/plain\r\n\r\n",
    "Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\n",
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n",
    "Content-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
    "Content-Type: multipart/alternative; boundary=b\r\n\r\n",
];

fn files(content: &Content) -> Vec<&[u8]> {
    let parts = content.structure().parts().iter();
    let leaves = parts.filter(|part| part.children().is_empty() && !part.is_text());
    leaves.map(|part| &content.body()[part.body()]).collect()
}

/// Checks that everything without a warning is safe, and that preparing the message again changes nothing.
fn transport(content: &Content) {
    for transport in [
        Transport {
            seven_bit: true,
            signed: true,
        },
        Transport {
            seven_bit: false,
            signed: true,
        },
    ] {
        let size = content.bytes().len();
        let prepared = Cost::MANY_PASSES.hold("transport", size, || prepare(content, transport));
        let edits = Edits {
            headers: prepared.headers,
            body: prepared.body,
            ..Edits::default()
        };
        let after = Content::new(edits.apply(content));
        let left = |warning: &Warning| !matches!(warning, Warning::LineEnds { .. });
        if !prepared.warnings.iter().any(left) {
            assert!(
                is_safe(after.body(), transport),
                "not safe and not warned about"
            );
        }
    }
}
