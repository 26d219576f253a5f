//! Quoted-printable and base64.

use waxseal::edit::fuzzing as codec;

use crate::cost::Cost;
use crate::input::Input;

/// The text is decoded, encoded, and spliced: the part before the empty line is inserted.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let place = usize::from(input.option(255));
    let binary = input.flag();
    let (insert, text) = input.halves();
    let size = insert.len() + text.len();
    let cost = Cost::PASSES;

    let encoded = cost.hold("encoding", size, || codec::qp_encode(&text, binary));
    let decoded = cost.hold("decoding", size, || codec::qp_decode(&encoded));
    assert!(
        decoded == text,
        "quoted-printable does not give the same back"
    );
    let longest = encoded.split(|&byte| byte == b'\n').map(<[u8]>::len).max();
    assert!(longest <= Some(77), "a line of {longest:?}");
    assert!(encoded.is_ascii(), "quoted-printable that is not ASCII");
    let encoded = codec::base64_encode(&text);
    assert_eq!(
        codec::base64_decode(&encoded).as_deref(),
        Some(&text[..]),
        "base64"
    );

    // The text as received, valid or not.
    let decoded = cost.hold("decoding", size, || codec::qp_decode(&text));
    let at = place * decoded.len() / 254;
    let expected = [&decoded[..at], &insert, &decoded[at..]].concat();
    let spliced = cost.hold("splicing", size, || {
        codec::qp_splice(&text, at, &insert, binary)
    });
    if let Some(spliced) = spliced
        && !insert.is_empty()
    {
        let shown = codec::qp_decode(&spliced);
        assert!(
            shown == expected || is_sloppy(&text),
            "an insertion changed the text around"
        );
    }
    if let Some(decoded) = cost.hold("decoding", size, || codec::base64_decode(&text)) {
        let at = place * decoded.len() / 254;
        let expected = [&decoded[..at], &insert, &decoded[at..]].concat();
        let spliced = codec::base64_splice(&text, &decoded, at, &insert);
        assert_eq!(
            codec::base64_decode(&spliced).as_deref(),
            Some(&expected[..]),
            "base64"
        );
    }
    cost.hold("wrapping", size, || codec::base64_rewrap(&text));
}

/// Quoted-printable that RFC 2045 does not allow: the editor's verification of the complete message finds a wrong result.
fn is_sloppy(text: &[u8]) -> bool {
    let is_octet = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    text.split(|&byte| byte == b'\n').any(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let strange = |(at, byte): (usize, &u8)| match byte {
            b'=' => at + 1 < line.len() && !is_octet(&line[at + 1..]),
            b'\t' | b' '..=b'~' => false,
            _ => true,
        };
        line.len() > 76
            || line.ends_with(b" ")
            || line.ends_with(b"\t")
            || line.iter().enumerate().any(strange)
    })
}
