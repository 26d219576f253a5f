use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn framed(name: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(data.len() + 1)
        .expect("short")
        .to_be_bytes()
        .to_vec();
    bytes.push(name);
    bytes.extend_from_slice(data);
    bytes
}

/// All frames of a stream that arrives in pieces of that size, body chunks put
/// together again.
fn frames(stream: &[u8], piece: usize) -> Result<Vec<(u8, Vec<u8>)>, FrameError> {
    let mut decoder = Decoder::default();
    let mut whole = Vec::new();
    let mut chunk = Vec::new();
    for mut input in stream.chunks(piece.max(1)) {
        while let Some(frame) = decoder.next(&mut input)? {
            match frame {
                Frame::Whole { name, data } => whole.push((name, data.to_vec())),
                Frame::Body { data, last } => {
                    chunk.extend_from_slice(data);
                    if last {
                        whole.push((b'B', std::mem::take(&mut chunk)));
                    }
                }
            }
        }
        assert!(input.is_empty());
    }
    Ok(whole)
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        sent in prop::collection::vec(
            (prop::sample::select(b"ABCDEHLMNORTU".to_vec()), prop::collection::vec(any::<u8>(), 0..300)),
            0..20,
        ),
        piece in 1usize..400,
    ) {
        let stream: Vec<u8> = sent.iter().flat_map(|(name, data)| framed(*name, data)).collect();
        prop_assert_eq!(frames(&stream, piece).expect("well-formed"), sent);
    }

    #[test]
    fn no_bytes_make_the_codec_panic_or_hold_much(
        stream in prop::collection::vec(any::<u8>(), 0..2000),
        piece in 1usize..64,
    ) {
        if let Ok(frames) = frames(&stream, piece) {
            for (name, data) in frames {
                if let Ok(Command::Macros(macros)) = Command::decode(name, &data) {
                    prop_assert!(macros.pairs().count() <= data.len());
                }
            }
        }
    }

    #[test]
    fn commands_are_read_back_as_they_were_written(
        name in "[!-9;-~]{1,40}",
        value in "[^\0]{0,200}",
    ) {
        let data = [name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat();
        prop_assert_eq!(
            Command::decode(b'L', &data),
            Ok(Command::Header { name: name.as_bytes(), value: value.as_bytes() })
        );
        let Ok(Command::Mail(mail)) = Command::decode(b'M', &data) else {
            return Err(TestCaseError::fail("MAIL"));
        };
        prop_assert_eq!(mail.address, name.as_bytes());
        prop_assert_eq!(mail.parameters().collect::<Vec<_>>().concat(), value.as_bytes());
        let mut macros = vec![b'M'];
        macros.extend_from_slice(&data);
        let Ok(Command::Macros(macros)) = Command::decode(b'D', &macros) else {
            return Err(TestCaseError::fail("macros"));
        };
        let bare = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(&name);
        prop_assert_eq!(
            macros.pairs().collect::<Vec<_>>(),
            vec![(bare.as_bytes(), value.as_bytes())]
        );
    }

    #[test]
    fn replies_are_frames_of_their_own(
        name in prop::collection::vec(1u8.., 1..50),
        value in prop::collection::vec(1u8.., 0..500),
        index in any::<u32>(),
    ) {
        let (name, value) = (&name[..], &value[..]);
        let text = [name, b"\0", value, b"\0"].concat();
        let numbered = [&index.to_be_bytes()[..], &text].concat();
        let expected = [
            (Reply::AddHeader { name, value }, b'h', text.clone()),
            (Reply::InsertHeader { index, name, value }, b'i', numbered.clone()),
            (Reply::ChangeHeader { index, name, value }, b'm', numbered),
            (Reply::AddRecipientParameters(name, value), b'2', text),
            (Reply::ReplaceBody(value), b'b', value.to_vec()),
            (Reply::Code(name), b'y', [name, b"\0"].concat()),
            (Reply::Quarantine(name), b'q', [name, b"\0"].concat()),
            (Reply::ChangeFrom(name), b'e', [name, b"\0"].concat()),
            (Reply::AddRecipient(name), b'+', [name, b"\0"].concat()),
            (Reply::Accept, b'a', Vec::new()),
        ];
        let mut stream = Vec::new();
        for (reply, ..) in &expected {
            reply.encode(&mut stream).expect("short");
        }
        let expected: Vec<_> = expected.into_iter().map(|(_, name, data)| (name, data)).collect();
        prop_assert_eq!(frames(&stream, 37).expect("well-formed"), expected);
    }
}

#[test]
fn a_frame_is_empty_or_too_long_only_once() {
    assert_eq!(frames(&[0, 0, 0, 0, b'M'], 9), Err(FrameError::Empty));
    let http = u32::from_be_bytes(*b"GET ") as usize;
    assert_eq!(
        frames(b"GET / HTTP/1.1\r\n\r\n", 3),
        Err(FrameError::TooLong(http))
    );
}

#[test]
fn a_reply_that_no_mta_would_read_is_not_written() {
    let mut out = b"before".to_vec();
    let body = vec![0; LARGEST_REPLY + 1];
    assert_eq!(
        Reply::ReplaceBody(&body).encode(&mut out),
        Err(ReplyTooLong(LARGEST_REPLY + 1))
    );
    assert_eq!(out, b"before");
    assert_eq!(Reply::ReplaceBody(&body[1..]).encode(&mut out), Ok(()));
}

#[test]
fn clients_are_known_by_family() {
    let client = |data| match Command::decode(b'C', data) {
        Ok(Command::Connect { address, .. }) => Ok(address),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(
        client(b"a\x004\x00\x19192.0.2.1\0"),
        Ok(PeerAddress::Network {
            address: ip("192.0.2.1"),
            port: 25
        })
    );
    for data in [
        &b"a\x006\x00\x19IPv6:2001:db8::1\0"[..],
        b"a\x006\x00\x192001:db8::1\0",
    ] {
        let address = ip("2001:db8::1");
        assert_eq!(client(data), Ok(PeerAddress::Network { address, port: 25 }));
    }
    assert_eq!(
        client(b"a\0L\0\0/run/x\0"),
        Ok(PeerAddress::Local(b"/run/x"))
    );
    assert_eq!(client(b"a\0U"), Ok(PeerAddress::Unknown));
    assert_eq!(
        client(b"a\x004\0\x19nowhere\0"),
        Err(Malformed::InvalidAddress)
    );
    assert_eq!(
        client(b"a\x004\0"),
        Err(Malformed::Truncated(Kind::Connect))
    );
}

/// The corpus of the fuzzer, in every build.
#[test]
fn the_fuzz_corpus_is_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/milter_frames");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        crate::session::tests::replay(&bytes);
        replayed += 1;
    }
    assert!(
        replayed >= 5,
        "only {replayed} files in {}",
        folder.display()
    );
}
