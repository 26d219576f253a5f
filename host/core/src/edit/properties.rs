//! Property tests: invariants of edits on random and sample messages.

use std::path::PathBuf;

use proptest::prelude::*;

use super::tests::{CONTEXT, disclaimer};
use super::*;
use crate::decision::{Disclaimer, Placement};
use crate::message::{Content, Part};

fn apply(content: &Content, made: &Insertion) -> Vec<u8> {
    let edits = Edits {
        headers: made.headers.clone(),
        body: made.body.clone(),
        ..Edits::default()
    };
    edits.apply(content)
}

/// Attachments as decoded by an independent parser.
fn files(message: &[u8]) -> Vec<Vec<u8>> {
    let Some(parsed) = mail_parser::MessageParser::new().parse(message) else {
        return Vec::new();
    };
    let is_file = |part: &mail_parser::MessagePart<'_>| {
        part.text().is_none() && part.children().next().is_none()
    };
    parsed
        .parts()
        .filter(is_file)
        .map(|part| part.decoded().into_owned())
        .collect()
}

/// Checks that leaves other than text have the same bytes before and after, and that a message without a
/// disclaimer is unchanged.
fn check(message: &[u8], made: &Insertion) {
    let before = Content::new(message.to_vec());
    let after = apply(&before, made);
    if made
        .reports
        .iter()
        .all(|report| report.outcome == Outcome::Skipped)
    {
        assert!(made.body.is_none() && made.headers.is_empty());
        return;
    }
    assert!(made.body.is_some());
    let after = Content::new(after);
    if made
        .reports
        .iter()
        .any(|report| report.outcome == Outcome::Inserted)
    {
        let leaf = |part: &&Part| !part.is_text() && part.children().is_empty();
        let old = before
            .structure()
            .parts()
            .iter()
            .filter(leaf)
            .map(|part| &before.body()[part.body()]);
        let new = after
            .structure()
            .parts()
            .iter()
            .filter(leaf)
            .map(|part| &after.body()[part.body()]);
        assert!(old.eq(new));
        assert!(
            files(message) == files(after.bytes()),
            "an attachment decodes differently"
        );
    }
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/samples");
    let mut samples: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("tests/samples")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| {
            (
                path.file_stem()
                    .expect("name")
                    .to_string_lossy()
                    .into_owned(),
                std::fs::read(&path).expect("sample"),
            )
        })
        .collect();
    samples.sort();
    samples
}

#[test]
fn r22_samples_get_the_disclaimer_or_are_unchanged() {
    let text = "株式会社アクメ\nこのメールは社外秘です。";
    let mut outcomes = Vec::new();
    for (name, message) in samples() {
        assert!(
            !message
                .windows(2)
                .any(|pair| pair[1] == b'\n' && pair[0] != b'\r'),
            "{name}: line ends"
        );
        for placement in [Placement::Top, Placement::AboveQuote, Placement::Bottom] {
            let disclaimer = Disclaimer {
                placement,
                ..disclaimer(text)
            };
            let content = Content::new(message.clone());
            let made = insert(&content, &CONTEXT, &[disclaimer]);
            check(&message, &made);
            let after = apply(&content, &made);
            if made.reports[0].outcome == Outcome::Inserted {
                let parsed = mail_parser::MessageParser::new()
                    .parse(&after)
                    .expect("message");
                let texts = parsed.parts().filter_map(|part| part.text());
                let words = "このメールは社外秘です。";
                let shows = |text: &str| {
                    text.contains(words) || mail_parser::html_to_text(text).contains(words)
                };
                let found = texts.filter(|text| shows(text)).count();
                assert_eq!(found, made.reports[0].places.len(), "{name}");
            }
            if placement == Placement::Bottom {
                outcomes.push((name.clone(), made.reports[0].reason));
            }
        }
    }
    let left: Vec<(&str, Reason)> = outcomes
        .iter()
        .filter_map(|(name, reason)| Some((name.as_str(), (*reason)?)))
        .collect();
    let expected = [
        ("auto-reply", Reason::AutoSubmitted),
        ("delivery-report", Reason::AutoSubmitted),
        ("encrypted", Reason::Encrypted),
        ("invite", Reason::Calendar),
        ("invite-reply", Reason::Calendar),
        ("pgp-inline", Reason::PgpInline),
        ("signed", Reason::Signed),
        ("smime-opaque", Reason::Signed),
    ];
    assert_eq!(left, expected);
    assert!(outcomes.len() >= 20);
}

fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let text = prop_oneof![
        "[ -~]{0,90}",
        "[a-zé社 >=\r\n-]{0,200}",
        Just("<body>\r\nx</body>".to_owned())
    ];
    let kind = prop_oneof![
        Just("text/plain"),
        Just("text/html"),
        Just("image/png"),
        Just("text/plain; format=flowed")
    ];
    let encoding = prop_oneof![
        Just("7bit"),
        Just("8bit"),
        Just("quoted-printable"),
        Just("base64")
    ];
    (text, kind, encoding).prop_map(|(text, kind, encoding)| {
        let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
        let bytes = match encoding {
            "base64" => codec::base64_encode(text.as_bytes()),
            "quoted-printable" => codec::qp_encode(text.as_bytes(), false),
            _ => text.into_bytes(),
        };
        (format!("Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"), bytes)
    })
}

/// An entity: its header, and its body.
fn entity() -> impl Strategy<Value = (String, Vec<u8>)> {
    body().prop_recursive(4, 12, 4, |inner| {
        let kind = prop_oneof![
            Just("mixed"),
            Just("alternative"),
            Just("related"),
            Just("signed")
        ];
        (
            kind,
            prop::collection::vec(inner, 1..4),
            "[a-c]{1,3}",
            any::<bool>(),
        )
            .prop_map(|(kind, children, boundary, closed)| {
                let mut bytes = b"preamble\r\n".to_vec();
                for (header, body) in children {
                    bytes.extend_from_slice(format!("--{boundary}\r\n{header}\r\n").as_bytes());
                    bytes.extend_from_slice(&body);
                    bytes.extend_from_slice(b"\r\n");
                }
                if closed {
                    bytes.extend_from_slice(format!("--{boundary}--\r\nepilogue").as_bytes());
                }
                (
                    format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n"),
                    bytes,
                )
            })
    })
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![
        Just(Placement::Top),
        Just(Placement::AboveQuote),
        Just(Placement::Bottom)
    ]
}

proptest! {
    #[test]
    fn random_messages_keep_all_bytes_outside_of_texts((header, body) in entity(), placement in placement(), japanese in any::<bool>(), wrap in any::<bool>()) {
        let message = [header.as_bytes(), b"From: a@acme.test\r\n\r\n", &body].concat();
        let text = if japanese { "社外秘の情報が含まれています" } else { "Confidential, Acme Ltd." };
        let disclaimer = Disclaimer { placement, ..disclaimer(text) };
        let mut context = CONTEXT;
        if wrap {
            (context.settings.uneditable, context.settings.encrypted) = (UneditableAction::Wrap, UneditableAction::Wrap);
        }
        check(&message, &insert(&Content::new(message.clone()), &context, &[disclaimer]));
    }

    #[test]
    fn random_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..600), tokens in prop::collection::vec(0usize..12, 0..40)) {
        const TOKENS: [&str; 12] = ["Content-Type: ", "multipart/mixed; boundary=b", "\r\n", "\r\n\r\n", "--b", "--b--", "text/html; charset=iso-2022-jp", "\x1B$B", "=\r\n", "</body>", "<!--", "\n"];
        let text: String = tokens.iter().map(|&token| TOKENS[token]).collect();
        for bytes in [message.clone(), text.clone().into_bytes(), [text.as_bytes(), &message].concat()] {
            let content = Content::new(bytes.clone());
            let _ = (content.author(), content.text(50), content.attachments(), content.has_trait("pgp-inline"));
            check(&bytes, &insert(&content, &CONTEXT, &[disclaimer("社外秘の情報が含まれています")]));
            prepare(&content, Transport { seven_bit: true, signed: true });
        }
    }
}
