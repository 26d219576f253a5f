//! Edits as replies of the milter protocol, compared with their effect in an MTA.

use waxseal::edit::{HeaderEdit, TransientHeader};
use waxseal::message::{Address, Content, ReversePath};
use waxseal_milter::codec::{Decoder, Frame, OptNeg};
use waxseal_milter::negotiation::Negotiated;
use waxseal_milter::response::{MessageShape, encode};
use waxseal_milter::{EarlyAccept, HeaderNames, Response};

use crate::cost::Cost;
use crate::input::Input;

/// The edits are before the empty line, one per line; the message is after it.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let version = 2 + u32::from(input.option(5));
    let actions = if input.flag() {
        0x1ff
    } else {
        0x1ff & !(1 << input.option(9))
    };
    let body = input.flag();
    let (edits, message) = input.halves();
    let content = Content::new(message);
    let edits = String::from_utf8_lossy(&edits);
    let answer = answer(&edits);
    let offer = OptNeg {
        version,
        actions,
        protocol_flags: 0x1f_ffff,
    };
    let Ok(negotiated) = Negotiated::new(offer, EarlyAccept::Off) else {
        return;
    };
    let mut names = HeaderNames::default();
    for field in content.fields() {
        names.push(content.name_of(field));
    }
    let shape = MessageShape {
        names: &names,
        fields: content.fields().len(),
        body,
    };
    let size = content.bytes().len() + edits.len();
    let replies = Cost::PASSES.hold("the answer", size, || {
        let mut replies = Vec::new();
        let written = encode(&answer, &negotiated, shape, &mut replies);
        assert!(written.is_ok() || replies.is_empty(), "half an answer");
        written.map(|()| replies)
    });
    let Ok(replies) = replies else {
        return;
    };
    let expected = Content::new(answer.edits.apply(&content));
    for counts_removed in [false, true] {
        let mut mta = Mta::new(&content, counts_removed);
        mta.follow(&replies);
        if negotiated.leading_space() {
            assert_eq!(
                mta.header(),
                header(&expected),
                "the MTA has another header"
            );
        }
        if let Some(body) = &answer.edits.body {
            assert_eq!(mta.body.as_ref(), Some(body), "the MTA has another body");
        }
    }
}

/// `^Name:value` above, `+Name:value` below, `=nName:value` for the nth,
/// `-nName`, `!Name:value` for a mark, `e address` for the sender, `r address` for
/// one more recipient, and `b text` for a body.
fn answer(text: &str) -> Response {
    let mut answer = Response::accept();
    // A policy's decision has at most a hundred changes.
    for line in text.split('\n').take(200) {
        let mut characters = line.chars();
        let kind = characters.next();
        let rest = characters.as_str();
        let (first, others) =
            rest.split_at(usize::from(!rest.is_empty() && rest.is_char_boundary(1)));
        let nth = first
            .bytes()
            .next()
            .map_or(1, |byte| usize::from(byte.wrapping_sub(b'0') % 8));
        let (name, value) = rest.split_once(':').unwrap_or((rest, ""));
        let (of_nth, value_of_nth) = others.split_once(':').unwrap_or((others, ""));
        // As the editor creates them: a valid name, and a value with folded lines.
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b':')
        };
        let value = value.replace(['\r', '\n'], " ");
        let value_of_nth = value_of_nth.replace(['\r', '\n'], " ");
        let headers = &mut answer.edits.headers;
        match kind {
            Some('^') if is_name(name) => headers.push(HeaderEdit::Prepend {
                name: name.into(),
                value: value.into(),
            }),
            Some('+') if is_name(name) => headers.push(HeaderEdit::Append {
                name: name.into(),
                value: value.into(),
            }),
            // An empty value would remove the field.
            Some('=') if is_name(of_nth) => headers.push(HeaderEdit::Replace {
                name: of_nth.into(),
                nth,
                value: format!(" {value_of_nth}").into(),
            }),
            Some('-') if is_name(of_nth) => headers.push(HeaderEdit::Remove {
                name: of_nth.into(),
                nth,
            }),
            // A message has one transient header field of a name.
            Some('!')
                if is_name(name) && !has_transient_header(&answer.transient_headers, name) =>
            {
                answer.transient_headers.push(TransientHeader {
                    name: name.into(),
                    value: value.into(),
                })
            }
            Some('e') => answer.edits.sender = ReversePath::parse_bytes(rest.as_bytes()).ok(),
            Some('r') => answer.edits.add_recipients.extend(Address::parse(rest)),
            Some('b') => answer.edits.body = Some(rest.as_bytes().to_vec()),
            _ => {}
        }
    }
    answer
}

fn has_transient_header(transient_headers: &[TransientHeader], name: &str) -> bool {
    transient_headers
        .iter()
        .any(|mark| mark.name.eq_ignore_ascii_case(name))
}

/// Name and raw value of each field; if the header is not in the form of the milter protocol, those of the fields as the MTA sent
/// them.
fn header(content: &Content) -> Vec<(Vec<u8>, Vec<u8>)> {
    let field = |field| {
        (
            content.name_of(field).to_vec(),
            content.value_of(field).to_vec(),
        )
    };
    content.fields().iter().map(field).map(folded).collect()
}

/// Folds in the form of the protocol.
fn folded((name, value): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    let text = value.split(|&byte| byte == b'\n');
    let lines: Vec<&[u8]> = text
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    (name, lines.join(&b'\n'))
}

/// A message in an MTA that edits it like Postfix or (which counts removed fields) Sendmail.
struct Mta {
    fields: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    counts_removed: bool,
    body: Option<Vec<u8>>,
}

impl Mta {
    fn new(content: &Content, counts_removed: bool) -> Self {
        let fields = header(content).into_iter();
        Self {
            fields: fields.map(|(name, value)| (name, Some(value))).collect(),
            counts_removed,
            body: None,
        }
    }

    fn follow(&mut self, mut replies: &[u8]) {
        let mut decoder = Decoder::default();
        while let Some(frame) = decoder.next(&mut replies).expect("frames") {
            // The decoder reads commands of MTAs, in which `B` is only a body.
            let Frame::Whole { name, data } = frame else {
                panic!("a reply that is none")
            };
            match name {
                b'h' => {
                    let (name, value) = pair(data);
                    self.fields.push((name, Some(value)));
                }
                b'i' => {
                    assert_eq!(data[..4], [0, 0, 0, 1], "not at the top");
                    let (name, value) = pair(&data[4..]);
                    self.fields.insert(0, (name, Some(value)));
                }
                b'm' => self.change(data),
                b'b' => self.body.get_or_insert_default().extend_from_slice(data),
                b'e' | b'+' | b'2' => assert!(data.starts_with(b"<") && data.ends_with(b"\0")),
                b'a' => assert!(replies.is_empty(), "something behind the last reply"),
                name => panic!("the reply {:?}", char::from(name)),
            }
        }
    }

    fn change(&mut self, data: &[u8]) {
        let (index, rest) = data.split_at(4);
        let nth = index
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let (name, value) = pair(rest);
        let counts_removed = self.counts_removed;
        let fields = self.fields.iter_mut();
        let mut named = fields.filter(|(known, value)| {
            known.eq_ignore_ascii_case(&name) && (counts_removed || value.is_some())
        });
        let field = named.nth(nth.checked_sub(1).expect("from 1"));
        let field = field.expect("a field that the message has");
        *field = (name, (!value.is_empty()).then_some(value));
    }

    fn header(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = self.fields.iter();
        fields
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect()
    }
}

fn pair(data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut texts = data.split(|&byte| byte == 0);
    let name = texts.next().expect("a name").to_vec();
    let value = texts.next().expect("a value").to_vec();
    assert_eq!(
        (texts.next(), texts.next()),
        (Some(&b""[..]), None),
        "a NUL in a field"
    );
    (name, value)
}
