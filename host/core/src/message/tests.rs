//! Tests of MIME structure and accessors.

use super::*;

fn content(message: &str) -> Content {
    Content::new(message.replace('\n', "\r\n").into_bytes())
}

/// One line for each part: depth, type and the bytes of its body.
fn outline(content: &Content) -> Vec<String> {
    let structure = content.structure();
    let line = |part: &Part| {
        let mut depth = 0;
        let mut at = part.parent();
        while let Some(parent) = at {
            depth += 1;
            at = structure.parts()[parent].parent();
        }
        let body = match part.is_multipart() {
            true => String::new(),
            false => String::from_utf8_lossy(&content.body()[part.body()]).into_owned(),
        };
        format!("{depth} {} {body:?}", part.media().essence())
    };
    structure.parts().iter().map(line).collect()
}

fn multipart(body: &str) -> Content {
    content(&format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{body}"
    ))
}

#[test]
fn the_line_end_before_a_delimiter_belongs_to_it() {
    let message = multipart(
        "preamble\n--b\n\none\n--b\nContent-Type: text/html\n\n\ntwo\n\n--b--\nepilogue\n",
    );
    let expected = [
        "0 multipart/mixed \"\"",
        "1 text/plain \"one\"",
        "1 text/html \"\\r\\ntwo\\r\\n\"",
    ];
    assert_eq!(outline(&message), expected);
    assert_eq!(message.structure().ambiguities(), []);
}

#[test]
fn boundaries_may_be_prefixes_of_one_another() {
    for (outer, inner) in [("b", "bb"), ("bb", "b"), ("b-", "b")] {
        let message = content(&format!(
            "Content-Type: multipart/mixed; boundary=\"{outer}\"\n\n--{outer}\n\
             Content-Type: multipart/alternative; boundary={inner}\n\n--{inner}\n\nplain\n\
             --{inner}--\n--{outer}\n\nlast\n--{outer}--\n"
        ));
        let expected = [
            "0 multipart/mixed \"\"",
            "1 multipart/alternative \"\"",
            "2 text/plain \"plain\"",
            "1 text/plain \"last\"",
        ];
        assert_eq!(
            (outline(&message), message.structure().ambiguities()),
            (expected.map(String::from).to_vec(), &[][..])
        );
    }
}

#[test]
fn ambiguities_are_reported() {
    let nested = "Content-Type: multipart/mixed; boundary=b\n";
    for (message, ambiguity) in [
        (
            "Content-Type: text/plain\nContent-Type: text/html\n\nx",
            Ambiguity::RepeatedField,
        ),
        ("Content-Type: nonsense\n\nx", Ambiguity::ContentType),
        ("no header\n", Ambiguity::OpenHeader),
        (
            "Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",
            Ambiguity::NoBoundary,
        ),
        (
            &format!(
                "Content-Type: multipart/mixed; boundary={0}\n\n--{0}\n\nx\n--{0}--\n",
                "b".repeat(71)
            ),
            Ambiguity::LongBoundary,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\nnothing\n",
            Ambiguity::NoParts,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nopen\n",
            Ambiguity::NotClosed,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b and more\n--b--\n",
            Ambiguity::LongDelimiter,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b--\n",
            Ambiguity::OpenHeader,
        ),
        (
            &format!("{nested}Content-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n"),
            Ambiguity::EncodedMultipart,
        ),
        (
            &format!("{nested}\n--b\n{nested}\n--b\n\nx\n--b--\n--b--\n"),
            Ambiguity::SameBoundary,
        ),
    ] {
        let message = content(message);
        assert!(
            message.structure().ambiguities().contains(&ambiguity),
            "{ambiguity:?}: {:?}",
            message.structure().ambiguities()
        );
    }
}

#[test]
fn a_type_is_read_with_comments_and_rfc_2231_parameters() {
    let message = content(
        "Content-Type: Text/Plain (see RFC 2045); charset=us-ascii (Plain);\n name*=UTF-8''%E7%A4%BE.txt; format=Flowed\n\nx",
    );
    let media = message.structure().root().media();
    assert_eq!(
        (media.essence(), media.parameter("charset")),
        ("text/plain", Some("us-ascii"))
    );
    assert_eq!(media.parameter("name"), Some("社.txt"));
    assert!(media.has_parameter("format", "flowed"));
}

#[test]
fn ten_thousand_parts_and_deep_nesting_are_bounded() {
    let many = multipart(&("--b\n\nx\n".repeat(10_000) + "--b--\n"));
    assert_eq!(many.structure().parts().len(), 10_001);
    assert_eq!(many.structure().ambiguities(), []);
    let too_many = multipart(&("--b\n\n".repeat(60_000) + "--b--\n"));
    assert!(
        too_many
            .structure()
            .ambiguities()
            .contains(&Ambiguity::TooMany)
    );
    let deep: String = (0..1000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}x\n\n--b{n}x\n"))
        .collect();
    let deep = content(&deep);
    assert!(deep.structure().ambiguities().contains(&Ambiguity::TooDeep));
    // 64 levels and the part that is not followed.
    assert!(deep.structure().parts().len() <= 65);
}

#[test]
fn m5_a_boundary_that_is_too_long_is_followed_and_compared_without_a_copy() {
    let nested = |length: usize, small: usize| {
        let long = "x".repeat(length);
        let mut text = format!("Content-Type: multipart/mixed; boundary={long}0\n\n");
        for level in 1..50 {
            let above = level - 1;
            text += &format!(
                "--{long}{above}\nContent-Type: multipart/mixed; boundary={long}{level}\n\n"
            );
        }
        text += &format!("--{long}49\nContent-Type: multipart/mixed; boundary=s\n\n");
        text + &"--s\nContent-Type: multipart/mixed; boundary=t\n\n".repeat(small)
    };
    let steps = |length, small| {
        let content = content(&nested(length, small));
        let (parts, steps) = crate::work::count(|| content.structure().parts().len());
        assert_eq!(parts, 51 + small);
        steps
    };
    // The small ones cost the same, however long the boundaries around them are.
    let cost = |length| steps(length, 200) - steps(length, 100);
    assert_eq!(cost(2000), cost(20));
    let parts = content(&nested(80, 0));
    assert_eq!(parts.structure().ambiguities()[0], Ambiguity::LongBoundary);
}

#[test]
fn an_attached_message_is_a_leaf() {
    let message = multipart(
        "--b\n\nsee\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b--\n",
    );
    assert_eq!(message.structure().parts().len(), 3);
    assert_eq!(message.attachments()[0].media_type, "message/rfc822");
    assert_eq!(message.text(100).as_deref(), Some("see"));
}

#[test]
fn fields_are_unfolded_and_decoded() {
    let message = content(
        "From: =?ISO-2022-JP?B?GyRCPFIbKEI=?= <a@acme.test>, \"B, C\" <b@acme.test>\nSubject: =?utf-8?Q?caf=C3=A9?=\n =?utf-8?Q?_bar?=\nX: one\n two\n\n",
    );
    let mailbox = |name: &str, address: &str| Mailbox {
        name: Some(name.into()),
        address: address.into(),
    };
    assert_eq!(
        message.author(),
        [mailbox("社", "a@acme.test"), mailbox("B, C", "b@acme.test")]
    );
    assert_eq!(message.header("subject"), ["café bar"]);
    assert_eq!(message.header("X"), ["one two"]);
}

#[test]
fn text_is_truncated_on_a_character_boundary_and_prefers_plain() {
    let message = content(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n5pel5pys6Kqe\n",
    );
    assert_eq!(message.text(100).as_deref(), Some("日本語"));
    assert_eq!(message.text(4).as_deref(), Some("日"));
    let both = content(
        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>html</p>\n--b\n\nplain\n--b--\n",
    );
    assert_eq!(both.text(100).as_deref(), Some("plain"));
    let html = content("Content-Type: text/html\n\n<style>x{}</style><p>seen</p>");
    assert_eq!(html.text(100).as_deref().map(str::trim), Some("seen"));
    assert_eq!(content("Content-Type: image/png\n\nx").text(9), None);
}

#[test]
fn traits_are_derived_from_fields_and_parts() {
    for (message, name) in [
        (
            "Auto-Submitted: auto-replied (vacation)\n\n",
            "auto-generated",
        ),
        ("Precedence: Bulk\n\n", "bulk"),
        ("List-Id: <a.b>\n\n", "list"),
        ("In-Reply-To: <a@b>\n\n", "reply"),
        (
            "Content-Type: application/pkcs7-mime; smime-type=signed-data\n\n",
            "signed",
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\n",
            "encrypted",
        ),
        ("Content-Type: text/calendar; method=REPLY\n\n", "calendar"),
        ("Content-Type: application/ms-tnef\n\n", "tnef"),
        ("A: b\n\nHi\n-----BEGIN PGP MESSAGE-----\n", "pgp-inline"),
        (
            "Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--\n",
            "report",
        ),
    ] {
        let message = content(message);
        let all = [
            "auto-generated",
            "bulk",
            "list",
            "reply",
            "signed",
            "encrypted",
            "calendar",
            "tnef",
            "pgp-inline",
            "report",
            "other",
        ];
        let found: Vec<&str> = all
            .into_iter()
            .filter(|name| message.has_trait(name))
            .collect();
        assert_eq!(found, [name]);
    }
    assert!(!content("Auto-Submitted: no\n\n").has_trait("auto-generated"));
}
