use proptest::prelude::*;

use super::*;
use crate::codec::{Decoder, Frame, LARGEST_REPLY, OptNeg};
use crate::filter::Response;
use crate::header_names::HeaderNames;
use crate::negotiation::{EarlyAccept, Negotiated};
use waxseal_core::decision::{Reply as SmtpReply, Verdict};
use waxseal_core::edit::{Edits, HeaderEdit, TransientHeader};
use waxseal_core::message::{Address, Content, ReversePath};

fn negotiated(version: u32, actions: u32) -> Negotiated {
    let offer = OptNeg {
        version,
        actions,
        protocol_flags: 0x1f_ffff,
    };
    Negotiated::new(offer, EarlyAccept::Off).expect("a supported version")
}

fn postfix() -> Negotiated {
    negotiated(6, 0x1ff)
}

fn names(content: &Content) -> HeaderNames {
    let mut names = HeaderNames::default();
    for field in content.fields() {
        names.push(content.name_of(field));
    }
    names
}

/// The replies, NUL shown as `|`, indices as numbers.
fn encoded(
    answer: &Response,
    negotiated: &Negotiated,
    content: &Content,
) -> Result<Vec<String>, EncodeError> {
    let names = names(content);
    let shape = MessageShape {
        names: &names,
        fields: content.fields().len(),
        body: true,
    };
    let mut out = Vec::new();
    let result = encode(answer, negotiated, shape, &mut out);
    if result.is_err() {
        assert!(out.is_empty(), "half an answer");
    }
    result.map(|()| shown(&out))
}

fn shown(out: &[u8]) -> Vec<String> {
    let mut input = out;
    let mut decoder = Decoder::default();
    let mut encoded = Vec::new();
    while let Some(frame) = decoder.next(&mut input).expect("well-formed") {
        let Frame::Whole { name, data } = frame else {
            panic!("no body chunk")
        };
        let (index, data) = match name {
            b'i' | b'm' => data.split_at(4),
            _ => (&b""[..], data),
        };
        let index = index
            .iter()
            .fold(0, |sum, &byte| sum * 256 + u32::from(byte));
        let index = if matches!(name, b'i' | b'm') {
            index.to_string()
        } else {
            String::new()
        };
        let text = String::from_utf8_lossy(data).replace('\0', "|");
        encoded.push(
            format!("{}{index} {text}", char::from(name))
                .trim_end()
                .to_owned(),
        );
    }
    encoded
}

fn message() -> Content {
    Content::new(b"A: 1\r\nB: 2\r\na: 3\r\nX-Route: forged\r\n\r\nbody\r\n".to_vec())
}

fn edited(headers: Vec<HeaderEdit>) -> Response {
    Response {
        edits: Edits {
            headers,
            ..Edits::default()
        },
        ..Response::default()
    }
}

fn replace(name: &str, nth: usize, value: &str) -> HeaderEdit {
    HeaderEdit::Replace {
        name: name.into(),
        nth,
        value: value.into(),
    }
}

fn remove(name: &str, nth: usize) -> HeaderEdit {
    HeaderEdit::Remove {
        name: name.into(),
        nth,
    }
}

fn prepend(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit::Prepend {
        name: name.into(),
        value: value.into(),
    }
}

#[test]
fn all_edits_and_the_final_reply_come_in_one_piece() {
    let answer = Response {
        edits: Edits {
            sender: Some(ReversePath::Null),
            add_recipients: vec![Address::parse("archive@example.org").expect("an address")],
            headers: vec![prepend("DKIM-Signature", " v=1;\r\n\tb=x")],
            body: Some(vec![b'x'; LARGEST_REPLY + 1]),
        },
        ..Response::default()
    };
    let mut encoded = encoded(&answer, &postfix(), &message()).expect("can be encoded");
    let body: Vec<_> = encoded
        .iter()
        .filter(|reply| reply.starts_with('b'))
        .map(String::len)
        .collect();
    assert_eq!(body, [2 + LARGEST_REPLY, 3]);
    encoded.retain(|reply| !reply.starts_with('b'));
    assert_eq!(
        encoded,
        [
            "i1 DKIM-Signature| v=1;\n\tb=x|",
            "e <>|",
            "2 <archive@example.org>|NOTIFY=NEVER|",
            "a",
        ]
    );
}

#[test]
fn replies_have_one_effect_however_the_mta_counts_deleted_fields() {
    // Taking out the first `A` twice means both of them.
    let encoded = encoded(
        &edited(vec![
            remove("A", 1),
            replace("a", 1, " three"),
            remove("A", 1),
            replace("B", 1, " b"),
        ]),
        &postfix(),
        &message(),
    );
    assert_eq!(
        encoded.expect("can be encoded"),
        ["m1 B| b|", "m2 A||", "m1 A||", "a"]
    );
}

#[test]
fn missing_fields_are_not_changed() {
    let encoded = encoded(
        &edited(vec![replace("A", 3, " x"), remove("C", 1)]),
        &postfix(),
        &message(),
    );
    assert_eq!(encoded.expect("can be encoded"), ["a"]);
}

#[test]
fn a_transient_header_is_deleted_below_copies_that_the_sender_wrote() {
    let mut answer = edited(vec![remove("X-Route", 1)]);
    answer.transient_headers = vec![TransientHeader {
        name: "X-Route".into(),
        value: b" relay-a:[h]:25".to_vec(),
    }];
    assert_eq!(
        encoded(&answer, &postfix(), &message()).expect("can be encoded"),
        [
            "h X-Route| relay-a:[h]:25|",
            "m2 X-Route||",
            "m1 X-Route||",
            "a"
        ]
    );
}

#[test]
fn without_leading_space_the_mta_adds_the_omitted_space() {
    let answer = edited(vec![
        prepend("A", " one"),
        prepend("B", "two"),
        replace("B", 2, " "),
    ]);
    assert_eq!(
        encoded(&answer, &negotiated(2, 0x3f), &message()).expect("can be encoded"),
        // An empty value would take the field out.
        ["m1 B| |", "i1 A|one|", "i1 B|two|", "a"]
    );
}

#[test]
fn an_action_that_was_not_offered_is_an_error_and_nothing_is_encoded() {
    let sender = Response {
        edits: Edits {
            headers: vec![prepend("A", " x")],
            sender: Some(ReversePath::Null),
            ..Edits::default()
        },
        ..Response::default()
    };
    let error = encoded(&sender, &negotiated(2, 0x3f), &message()).expect_err("version 2");
    assert_eq!(
        error,
        EncodeError::NotOffered {
            what: "change the envelope sender",
            version: 2
        }
    );
    let held = Response::new(Verdict::Hold("look at it".into()));
    assert!(encoded(&held, &negotiated(6, 0x1f), &message()).is_err());
    assert_eq!(
        encoded(&held, &postfix(), &message()).expect("offered"),
        ["q look at it|", "a"]
    );
    let nul = edited(vec![prepend("A", "a\0b")]);
    assert_eq!(
        encoded(&nul, &postfix(), &message()),
        Err(EncodeError::Nul("header field"))
    );
    let long = edited(vec![prepend("A", &"x".repeat(70_000))]);
    assert!(matches!(
        encoded(&long, &postfix(), &message()),
        Err(EncodeError::TooLong(_))
    ));
}

#[test]
fn recipients_are_added_without_parameters_if_those_were_not_offered() {
    let answer = Response {
        edits: Edits {
            add_recipients: vec![Address::parse("a@example.org").expect("an address")],
            ..Edits::default()
        },
        ..Response::default()
    };
    assert_eq!(
        encoded(&answer, &negotiated(2, 0x3f), &message()).expect("can be encoded"),
        ["+ <a@example.org>|", "a"]
    );
}

#[test]
fn rejected_messages_are_not_edited() {
    let reply = SmtpReply {
        code: 550,
        enhanced: "5.7.1".into(),
        text: "100 % no".into(),
    };
    let mut answer = edited(vec![prepend("A", " x")]);
    answer.verdict = Verdict::Reject(reply);
    assert_eq!(
        encoded(&answer, &postfix(), &message()).expect("can be encoded"),
        ["y 550 5.7.1 100 %% no|"]
    );
    assert_eq!(
        encoded(&Response::new(Verdict::Discard), &postfix(), &message()).expect("can be encoded"),
        ["d"]
    );
}

#[test]
fn a_header_that_the_mta_counts_differently_is_not_edited_by_index() {
    let content = message();
    let mut names = names(&content);
    names.push(b"one more");
    let shape = MessageShape {
        names: &names,
        fields: content.fields().len(),
        body: true,
    };
    let mut out = Vec::new();
    let by_number = edited(vec![remove("A", 1)]);
    assert_eq!(
        encode(&by_number, &postfix(), shape, &mut out),
        Err(EncodeError::HeaderMismatch {
            by_mta: 5,
            by_us: 4
        })
    );
    assert_eq!(
        encode(
            &edited(vec![prepend("A", " x")]),
            &postfix(),
            shape,
            &mut out
        ),
        Ok(())
    );
}

/// An MTA's header, as Postfix or Sendmail counts it.
struct Mta {
    fields: Vec<(String, Option<String>)>,
    counts_removed: bool,
}

impl Mta {
    fn hear(&mut self, reply: &str) {
        let (head, rest) = reply.split_at(reply.find(' ').unwrap_or(reply.len()));
        let mut texts = rest.trim_start_matches(' ').splitn(3, '|');
        let mut text = || texts.next().unwrap_or_default().to_owned();
        match head.as_bytes()[0] {
            b'h' => self.fields.push((text(), Some(text()))),
            b'i' => self.fields.insert(0, (text(), Some(text()))),
            b'm' => {
                let (name, value) = (text(), text());
                let nth: usize = head[1..].parse().expect("an index");
                let found = self
                    .fields
                    .iter_mut()
                    .filter(|(known, value)| {
                        known.eq_ignore_ascii_case(&name)
                            && (self.counts_removed || value.is_some())
                    })
                    .nth(nth - 1)
                    .expect("a field of that number");
                *found = (name, (!value.is_empty()).then_some(value));
            }
            _ => {}
        }
    }

    fn bytes(&self) -> String {
        let standing = self
            .fields
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        standing
            .map(|(name, value)| format!("{name}:{value}\r\n"))
            .collect()
    }
}

fn any_edit() -> impl Strategy<Value = HeaderEdit> {
    let name = || prop::sample::select(vec!["A", "b", "C"]).prop_map(str::to_owned);
    let value = || "[a-z]{1,3}".prop_map(|text| format!(" {text}").into_bytes());
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| HeaderEdit::Prepend { name, value }),
        (name(), value()).prop_map(|(name, value)| HeaderEdit::Append { name, value }),
        (name(), 0usize..5, value()).prop_map(|(name, nth, value)| HeaderEdit::Replace {
            name,
            nth,
            value
        }),
        (name(), 0usize..5).prop_map(|(name, nth)| HeaderEdit::Remove { name, nth }),
    ]
}

proptest! {
    #[test]
    fn every_mta_makes_of_it_what_the_edits_say(
        fields in prop::collection::vec(prop::sample::select(vec!["A", "a", "B", "C"]), 0..8),
        edits in prop::collection::vec(any_edit(), 0..12),
        counts_removed in any::<bool>(),
    ) {
        let header: String =
            fields.iter().enumerate().map(|(at, name)| format!("{name}: {at}\r\n")).collect();
        let content = Content::new(format!("{header}\r\n").into_bytes());
        let answer = edited(edits);
        let encoded = encoded(&answer, &postfix(), &content).expect("can be encoded");
        let mut mta = Mta {
            fields: fields
                .iter()
                .enumerate()
                .map(|(at, name)| ((*name).to_owned(), Some(format!(" {at}"))))
                .collect(),
            counts_removed,
        };
        for reply in &encoded {
            mta.hear(reply);
        }
        let expected = String::from_utf8(answer.edits.apply(&content)).expect("ASCII");
        prop_assert_eq!(format!("{}\r\n", mta.bytes()), expected);
    }
}
