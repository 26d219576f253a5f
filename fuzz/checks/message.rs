//! Mapping and reading of a sender's message: fields, parts, text, attachments and traits.

use waxseal::edit::Edits;
use waxseal::message::{Content, Part};

use crate::cost::Cost;
use crate::input::Input;

const TRAITS: [&str; 10] = [
    "signed",
    "encrypted",
    "report",
    "calendar",
    "tnef",
    "auto-generated",
    "bulk",
    "list",
    "reply",
    "pgp-inline",
];

/// Maximum depth of a map, including the root, and maximum number of parts.
const DEPTH: usize = 65;
const PARTS: usize = 50_001;

pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let form = input.option(FORMS.len() as u8);
    let message = [FORMS[usize::from(form)].as_bytes(), &input.text()].concat();
    let size = message.len();
    let content = Cost::PASSES.hold("the map", size, || {
        let content = Content::new(message.clone());
        content.structure();
        content
    });
    fields_cover_the_header(&content);
    parts_lie_in_each_other(&content);
    text_is_cut_where_it_was_asked(&content);
    let attachments = Cost::PASSES.hold("attachments", size, || content.attachments());
    assert!(attachments.len() <= content.structure().parts().len());
    for name in TRAITS {
        Cost::PASSES.hold(name, size, || content.has_trait(name));
    }
    for name in ["Subject", "From", "Received", "X"] {
        let values = Cost::PASSES.hold("a header field", size, || content.header(name));
        assert_eq!(values.len(), content.count_named(name));
    }
}

/// Possible beginnings of the message, so that the fuzzer need not find them.
const FORMS: [&str; 4] = [
    "",
    "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: base64\r\n\r\n",
];

/// Checks that the fields are contiguous from the first byte, and that nothing is lost between the last one and the body.
fn fields_cover_the_header(content: &Content) {
    let mut end = 0;
    for field in content.fields() {
        assert_eq!(field.whole().start, end, "a gap between fields");
        assert!(field.name().end < field.value().start && field.value().end <= field.whole().end);
        assert_eq!(field.name().start, end);
        assert!(content.name_of(field).iter().all(u8::is_ascii_graphic));
        end = field.whole().end;
    }
    let separator = &content.bytes()[end..content.body_offset()];
    assert!(
        matches!(separator, b"" | b"\n" | b"\r\n"),
        "{separator:?} before the body"
    );
    let unchanged = Edits::default().apply(content);
    let added = usize::from(separator.is_empty()) * 2;
    assert!(unchanged.len() <= content.bytes().len() + added + 2);
    let again = Content::new(unchanged);
    assert_eq!(
        again.fields().len(),
        content.fields().len(),
        "fields changed by no edit"
    );
    assert_eq!(again.body(), content.body(), "a body changed by no edit");
}

/// Checks that parts are within their parents, in order, without overlap.
fn parts_lie_in_each_other(content: &Content) {
    let structure = content.structure();
    let parts = structure.parts();
    assert!((1..=PARTS).contains(&parts.len()), "{} parts", parts.len());
    let mut depths = vec![0; parts.len()];
    for (index, part) in parts.iter().enumerate() {
        assert!(part.body().end <= content.body().len());
        let Some(parent) = part.parent() else {
            assert_eq!(index, 0, "a second root");
            continue;
        };
        assert!(parent < index, "a part before its parent");
        depths[index] = depths[parent] + 1;
        assert!(depths[index] < DEPTH, "too deep");
        assert!(parts[parent].children().contains(&index) || parts.len() > 1000);
        let outer = parts[parent].body();
        assert!(outer.start <= part.header().start && part.header().start <= outer.end);
        // The line end at the end of a header may belong to the following delimiter: then an empty part is after it.
        assert!(part.body().end <= outer.end || part.body().is_empty());
        assert!(part.header().end <= part.body().start);
    }
    for part in parts {
        let places = part.children().windows(2);
        let in_order = |pair: &[usize]| parts[pair[0]].body().end <= parts[pair[1]].header().start;
        assert!(places.into_iter().all(in_order), "parts overlap");
    }
    // Each part's text separately, as readers of recordings get it.
    for part in parts.iter().filter(|part| part.is_text()).take(8) {
        decodes(content, part);
    }
}

fn decodes(content: &Content, part: &Part) {
    let size = part.body().len();
    let text = Cost::PASSES.hold("a part's text", size, || content.decoded(part));
    // Three bytes for an invalid one, and some more for an escape sequence.
    assert!(
        text.len() <= 4 * size + 16,
        "{} of {size} bytes",
        text.len()
    );
}

fn text_is_cut_where_it_was_asked(content: &Content) {
    let size = content.bytes().len();
    let whole = Cost::MANY_PASSES.hold("the text", size, || content.text(usize::MAX));
    for limit in [0, 1, 7, 100, 5000] {
        let text = Cost::MANY_PASSES.hold("the text", size, || content.text(limit));
        assert_eq!(
            text.is_some(),
            whole.is_some(),
            "a text that is there or not"
        );
        assert!(
            text.is_none_or(|text| text.len() <= limit),
            "longer than asked for"
        );
    }
}
