//! Tests of disclaimers in complete messages (R22).

use super::*;
use crate::decision::{Disclaimer, Placement};
use crate::message::Content;

const ASCII: &str = "Acme Ltd. This message is confidential.";
const JAPANESE: &str = "株式会社アクメ このメールは社外秘です。";

pub(super) fn disclaimer(text: &str) -> Disclaimer {
    Disclaimer {
        id: "legal".into(),
        text: text.into(),
        html: None,
        placement: Placement::Bottom,
    }
}

pub(super) const CONTEXT: Context = Context {
    null_sender: false,
    settings: Settings {
        uneditable: UneditableAction::Leave,
        encrypted: UneditableAction::Leave,
        replies: true,
        lists: true,
    },
};

fn crlf(message: &str) -> Vec<u8> {
    message.replace('\n', "\r\n").into_bytes()
}

/// The message after the insertion, and the report on the disclaimer.
fn inserted(message: &[u8], disclaimer: &Disclaimer) -> (Vec<u8>, DisclaimerReport) {
    with(message, disclaimer, &CONTEXT)
}

fn with(message: &[u8], disclaimer: &Disclaimer, context: &Context) -> (Vec<u8>, DisclaimerReport) {
    let content = Content::new(message.to_vec());
    let made = insert(&content, context, std::slice::from_ref(disclaimer));
    let edits = Edits {
        headers: made.headers,
        body: made.body,
        ..Edits::default()
    };
    (edits.apply(&content), made.reports[0].clone())
}

fn text_of(message: &str, disclaimer: &Disclaimer) -> String {
    let (bytes, outcome) = inserted(&crlf(message), disclaimer);
    assert_eq!(
        outcome.outcome,
        Outcome::Inserted,
        "{:?} {message}",
        outcome.reason
    );
    String::from_utf8(bytes)
        .expect("ASCII or UTF-8")
        .replace("\r\n", "\n")
}

fn reason(message: &str) -> Option<Reason> {
    let message = crlf(message);
    let (after, outcome) = inserted(&message, &disclaimer(ASCII));
    assert_eq!(
        (after, outcome.outcome),
        (message, Outcome::Skipped),
        "{:?}",
        outcome.reason
    );
    outcome.reason
}

/// All texts of a message, decoded by an independent parser.
fn texts(message: &[u8]) -> Vec<String> {
    let parsed = mail_parser::MessageParser::new()
        .parse(message)
        .expect("message");
    parsed
        .parts()
        .filter_map(|part| part.text().map(|text| text.into_owned()))
        .collect()
}

#[test]
fn r22_plain_text_gets_the_disclaimer_and_nothing_else_changes() {
    let message = "From: a@acme.test\nX: kept\n\nHello\n";
    assert_eq!(
        text_of(message, &disclaimer(ASCII)),
        format!("{message}\n{ASCII}\n")
    );
    for (body, after) in [
        ("Hello", format!("Hello\n\n{ASCII}\n")),
        ("", format!("{ASCII}\n")),
    ] {
        let message = format!("From: a@acme.test\n\n{body}");
        assert_eq!(
            text_of(&message, &disclaimer(ASCII)),
            format!("From: a@acme.test\n\n{after}")
        );
    }
}

#[test]
fn r22_every_alternative_gets_the_disclaimer_or_none_does() {
    let two = |second: &str| {
        format!(
            "Content-Type: multipart/alternative; boundary=b\n\npre\n--b\n\nplain\n--b\nContent-Type: {second}\n\n<p>html</p>\n--b--\nepilogue\n"
        )
    };
    let made = text_of(&two("text/html"), &disclaimer(ASCII));
    assert_eq!(made.matches(ASCII).count(), 2);
    assert!(made.starts_with(&format!(
        "Content-Type: multipart/alternative; boundary=b\n\npre\n--b\n\nplain\n\n{ASCII}\n--b\n"
    )));
    assert!(made.ends_with("--b--\nepilogue\n"));
    assert_eq!(
        reason(&two("text/html; charset=x-unknown")),
        Some(Reason::UnknownCharset)
    );
}

#[test]
fn r22_messages_that_an_edit_would_break_are_unchanged_and_the_reason_is_reported() {
    for (message, expected) in [
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=c\n\n--c\n\nx\n--c--\n--b--\n",
            Reason::Signed,
        ),
        (
            "Content-Type: multipart/encrypted; boundary=c\n\n--c\n\nx\n--c--\n",
            Reason::Encrypted,
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx",
            Reason::Encrypted,
        ),
        (
            "Content-Type: application/x-pkcs7-mime; smime-type=signed-data\n\nx",
            Reason::Signed,
        ),
        ("A: b\n\n-----BEGIN PGP MESSAGE-----\n", Reason::PgpInline),
        ("Content-Type: application/ms-tnef\n\nx", Reason::Tnef),
        (
            "Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--\n",
            Reason::Report,
        ),
        (
            "Content-Type: text/calendar; method=REPLY\n\nx",
            Reason::Calendar,
        ),
        ("Auto-Submitted: auto-generated\n\nx", Reason::AutoSubmitted),
        ("DKIM-Signature: v=1\n\nx", Reason::ForeignSignature),
        ("ARC-Seal: i=1\n\nx", Reason::ForeignSignature),
        (
            "Content-Transfer-Encoding: x-uuencode\n\nx",
            Reason::UnknownEncoding,
        ),
        (
            "Content-Type: text/plain; charset=x-unknown\n\nx",
            Reason::UnknownCharset,
        ),
        (
            "Content-Transfer-Encoding: base64\n\n*not base64*",
            Reason::Undecodable,
        ),
        (
            "Content-Type: text/plain\nContent-Type: text/html\n\nx",
            Reason::Ambiguous,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nno end\n",
            Reason::Ambiguous,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n",
            Reason::Ambiguous,
        ),
        ("Content-Type: image/png\n\nx", Reason::NoText),
        ("Content-Type: text/rtf\n\nx", Reason::NoText),
        ("Content-Type: message/rfc822\n\nA: b\n\nx", Reason::NoText),
        ("Content-Type: text/html\n\n<p>a<!-- open", Reason::NoPlace),
    ] {
        assert_eq!(reason(message), Some(expected), "{message}");
    }
    let context = Context {
        null_sender: true,
        ..CONTEXT
    };
    let (_, outcome) = with(b"A: b\r\n\r\nx", &disclaimer(ASCII), &context);
    assert_eq!(outcome.reason, Some(Reason::NullSender));
    assert_eq!(
        inserted(b"A: b\r\n\r\nx", &disclaimer("")).1.reason,
        Some(Reason::Empty)
    );
}

#[test]
fn replies_and_list_mail_are_settings() {
    let settings = Settings {
        replies: false,
        lists: false,
        ..Settings::default()
    };
    let context = Context {
        null_sender: false,
        settings,
    };
    for (message, expected) in [
        ("In-Reply-To: <a@b>\r\n\r\nx", Reason::Reply),
        ("List-Id: <a>\r\n\r\nx", Reason::List),
    ] {
        assert_eq!(
            with(message.as_bytes(), &disclaimer(ASCII), &context)
                .1
                .reason,
            Some(expected)
        );
        assert_eq!(
            inserted(message.as_bytes(), &disclaimer(ASCII)).1.outcome,
            Outcome::Inserted
        );
    }
}

#[test]
fn r22_the_disclaimer_has_the_charset_of_the_text() {
    for (label, encoding) in [
        ("iso-2022-jp", encoding_rs::ISO_2022_JP),
        ("shift_jis", encoding_rs::SHIFT_JIS),
        ("euc-jp", encoding_rs::EUC_JP),
        ("gb18030", encoding_rs::GB18030),
        ("utf-8", encoding_rs::UTF_8),
    ] {
        for (kind, body) in [("plain", "日本語\r\n"), ("html", "<body>日本語</body>\r\n")] {
            let header = format!(
                "Content-Type: text/{kind}; charset={label}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            );
            let message = [header.as_bytes(), &encoding.encode(body).0].concat();
            let (after, outcome) = inserted(&message, &disclaimer(JAPANESE));
            assert_eq!(outcome.outcome, Outcome::Inserted);
            assert!(after.starts_with(header.as_bytes()));
            let text = encoding
                .decode_without_bom_handling_and_without_replacement(&after[header.len()..])
                .expect(label);
            assert!(text.contains("日本語") && text.contains(JAPANESE), "{text}");
            if label == "iso-2022-jp" {
                assert!(after.is_ascii());
                for line in after.split(|&byte| byte == b'\n') {
                    let last = memchr::memrchr(0x1B, line);
                    assert!(
                        last.is_none_or(|at| line[at..].starts_with(b"\x1B(B")),
                        "{line:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn text_in_other_characters_is_converted_to_utf_8_and_html_uses_references() {
    let message = "Content-Type: text/plain; charset=us-ascii; format=fixed\nContent-Transfer-Encoding: 7bit\nMIME-Version: 1.0\n\nHi\n";
    let made = text_of(message, &disclaimer(JAPANESE));
    assert!(made.starts_with(
        "Content-Type: text/plain; charset=utf-8; format=fixed\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nHi\n\n=E6=A0=AA"
    ), "{made}");
    assert!(texts(&crlf(&made))[0].contains(JAPANESE));
    let bare = text_of("A: b\n\nHi\n", &disclaimer(JAPANESE));
    for field in [
        "MIME-Version: 1.0\n",
        "Content-Type: text/plain; charset=utf-8\n",
        "Content-Transfer-Encoding: quoted-printable\n",
    ] {
        assert!(bare.contains(field), "{bare}");
    }
    let html = text_of(
        "Content-Type: text/html; charset=iso-8859-1\n\n<p>x</p>",
        &disclaimer("社é"),
    );
    assert!(
        html.contains("&#31038;&#233;")
            && html.starts_with("Content-Type: text/html; charset=iso-8859-1\n\n")
    );
    let nested = text_of(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; name=x;\n charset=\"us-ascii\"\nX: kept\n\nHi\n--b\n\nlast\n--b--\n",
        &disclaimer(JAPANESE),
    );
    assert!(nested.contains(
        "Content-Type: text/plain; name=x;\n charset=utf-8\nX: kept\nContent-Transfer-Encoding: quoted-printable\n\nHi\n"
    ), "{nested}");
    assert!(nested.ends_with("\n--b\n\nlast\n--b--\n"));
}

#[test]
fn utf_16_and_mislabeled_text_are_decoded_correctly() {
    let utf16: Vec<u8> = "\u{FEFF}日本\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let header =
        "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let message = [header.as_bytes(), &codec::base64_encode(&utf16), b"\r\n"].concat();
    let (after, _) = inserted(&message, &disclaimer(JAPANESE));
    let decoded = codec::base64_decode(&after[header.len()..]).expect("base64");
    let text = encoding_rs::UTF_16LE.decode_with_bom_removal(&decoded).0;
    assert_eq!(text, format!("日本\r\n\r\n{JAPANESE}\r\n"));
    // Unlabeled UTF-8 stays unchanged for ASCII, and gets its label otherwise.
    let unlabelled = "A: b\r\n\r\ncafé\r\n".as_bytes();
    assert!(
        inserted(unlabelled, &disclaimer(ASCII))
            .0
            .starts_with(unlabelled)
    );
    assert!(texts(&inserted(unlabelled, &disclaimer(JAPANESE)).0)[0].starts_with("café"));
    let latin = b"Content-Type: text/plain\r\n\r\ncaf\xE9\r\n";
    assert_eq!(
        inserted(latin, &disclaimer(JAPANESE)).1.reason,
        Some(Reason::Undecodable)
    );
    assert!(inserted(latin, &disclaimer(ASCII)).0.starts_with(latin));
}

#[test]
fn format_flowed_survives() {
    let message = "Content-Type: text/plain; format=flowed; delsp=yes\n\nlast line flows \n";
    let made = text_of(message, &disclaimer("From us"));
    assert_eq!(made, format!("{message}\n\n From us\n"));
}

#[test]
fn r22_a_thread_gets_the_disclaimer_once() {
    let mut html = disclaimer(ASCII);
    html.html = Some(format!("<p>{ASCII}</p>"));
    for message in ["A: b\n\nHi\n", "Content-Type: text/html\n\n<p>Hi</p>\n"] {
        let first = crlf(&text_of(message, &html));
        assert_eq!(
            inserted(&first, &html).1.reason,
            Some(Reason::AlreadyPresent)
        );
    }
    let quoted = "In-Reply-To: <a@b>\n\nYes\n> Acme Ltd. This\n> message is confidential.\n";
    assert_eq!(reason(quoted), Some(Reason::AlreadyPresent));
    let html = "In-Reply-To: <a@b>\nContent-Type: text/html\n\n<p>Yes</p><blockquote>Acme Ltd. This <b>message</b> is\nconfidential.</blockquote>\n";
    assert_eq!(reason(html), Some(Reason::AlreadyPresent));
}

#[test]
fn r22_a_signed_message_is_wrapped_unchanged() {
    let entity =
        "Content-Type: multipart/signed; protocol=\"x\";\n boundary=s\nContent-Language: en\n";
    let body = "--s\n\nsigned \n--s\n\nsignature\n--s--\n";
    let message = crlf(&format!(
        "From: a@acme.test\n{entity}MIME-Version: 1.0\nContent-Length: 9\n\n{body}"
    ));
    let settings = Settings {
        uneditable: UneditableAction::Wrap,
        ..Settings::default()
    };
    let (after, outcome) = with(
        &message,
        &disclaimer(JAPANESE),
        &Context {
            null_sender: false,
            settings,
        },
    );
    assert_eq!(
        (outcome.outcome, outcome.reason),
        (Outcome::Wrapped, Some(Reason::Signed))
    );
    let content = Content::new(after.clone());
    assert!(content.structure().root().media().is("multipart/mixed"));
    let second = &content.structure().parts()[content.structure().root().children()[1]];
    assert_eq!(
        content.body()[second.header()],
        crlf(&format!("{entity}\n"))
    );
    assert_eq!(content.body()[second.body()], crlf(body));
    assert_eq!(content.count_named("Content-Length"), 0);
    assert!(texts(&after)[0].contains(JAPANESE));
    let (_, encrypted) = with(
        b"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
        &disclaimer(ASCII),
        &Context {
            null_sender: false,
            settings,
        },
    );
    assert_eq!(encrypted.outcome, Outcome::Skipped);
}

#[test]
fn the_position_above_the_quote_is_found_in_both_forms() {
    let above = Disclaimer {
        placement: Placement::AboveQuote,
        ..disclaimer(ASCII)
    };
    let made = text_of("A: b\n\nYes\n\n> Ok?\n", &above);
    assert_eq!(made, format!("A: b\n\nYes\n\n{ASCII}\n\n> Ok?\n"));
    let html = text_of(
        "Content-Type: text/html\n\n<body>Yes<blockquote type=\"cite\">Ok?</blockquote></body>",
        &above,
    );
    assert!(html.find(ASCII) < html.find("<blockquote"));
}

#[test]
fn a_text_in_too_many_forms_is_unchanged() {
    let forms = |count| {
        let parts = "--b\n\nx\n".repeat(count);
        format!("Content-Type: multipart/alternative; boundary=b\n\n{parts}--b--\n")
    };
    assert_eq!(reason(&forms(33)), Some(Reason::ManyTexts));
    let (_, outcome) = inserted(&crlf(&forms(32)), &disclaimer(ASCII));
    assert_eq!(outcome.places.len(), 32);
}

#[test]
fn ten_thousand_parts_and_a_large_attachment_are_unchanged() {
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi\n{}--b--\n",
        "--b\nContent-Disposition: attachment\n\nx\n".repeat(10_000)
    );
    assert!(text_of(&many, &disclaimer(ASCII)).contains(ASCII));
    let file = codec::base64_encode(&vec![7; 18 << 20]);
    let head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let message = [&head[..], &file, b"\r\n--b--\r\n"].concat();
    let (after, outcome) = inserted(&message, &disclaimer(ASCII));
    assert_eq!(outcome.outcome, Outcome::Inserted);
    assert!(after.ends_with(&message[head.len()..]));
}

#[test]
fn invalid_digests_and_lengths_are_removed() {
    let made = text_of(
        "Content-Length: 3\nContent-MD5: x\nA: b\n\nHi\n",
        &disclaimer(ASCII),
    );
    assert!(made.starts_with("A: b\n\n"));
}

#[test]
fn an_empty_part_before_its_delimiter_gets_its_own_line() {
    let made = text_of(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b--\n",
        &disclaimer(ASCII),
    );
    assert!(
        made.ends_with(&format!("--b\n\n{ASCII}\n\n--b--\n"))
            || made.ends_with(&format!("--b\n\n{ASCII}\n--b--\n")),
        "{made}"
    );
}
