//! Whatever a client sends to the LMTP listener: commands and content.

use std::sync::Arc;

use waxseal_lmtp::{BareNewlines, Event, Reply, Session, SessionSettings};

use crate::cost::Cost;
use crate::input::Input;

/// Most bytes of a message, and most recipients.
const LIMIT: usize = 1000;
const RECIPIENTS: usize = 5;

/// Most bytes of a session: the message and the step by which its buffer grows, and
/// the addresses and parameters, which are shorter than a line.
const HELD: usize = LIMIT + 8192 + RECIPIENTS * 5000;

/// Options: how the stream is cut into pieces, and what is done with bare newlines.
///
/// A session holds no more than its limits, input in pieces has the same result, each
/// reply is a line, and what a message has was in the stream.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let piece = [1, 2, 3, 7, 64, 1000][usize::from(input.option(6))];
    let keep = input.flag();
    let stream = input.text();
    let whole = Cost::PASSES.hold("a session", stream.len(), || run(&stream, usize::MAX, keep));
    assert_eq!(whole, run(&stream, piece, keep), "it depends on the pieces");
    let (replies, contents) = whole;
    for line in replies.split_inclusive(|&byte| byte == b'\n') {
        let is_reply = line.ends_with(b"\r\n")
            && line.len() <= 512
            && line[..3].iter().all(u8::is_ascii_digit)
            && matches!(line[3], b' ' | b'-');
        assert!(is_reply, "{:?}", String::from_utf8_lossy(line));
    }
    // Of many, some: the search is not linear.
    for content in contents.into_iter().take(3) {
        let mut sent = Vec::new();
        for line in content.split_inclusive(|&byte| byte == b'\n') {
            let after_crlf = sent.is_empty() || sent.ends_with(b"\r\n");
            if after_crlf && line.starts_with(b".") {
                sent.push(b'.');
            }
            sent.extend_from_slice(line);
        }
        let ends = content.is_empty() || content.ends_with(b"\r\n");
        assert!(ends, "only CRLF . CRLF ends a message");
        // A client need not double a dot that is followed by other bytes, and a dot
        // that is not doubled is dropped.
        let undotted = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().copied().filter(|&byte| byte != b'.').collect()
        };
        let (sent, stream) = (undotted(&sent), undotted(&stream));
        let found = sent.is_empty() || stream.windows(sent.len()).any(|part| part == sent);
        assert!(found, "a message has what was not sent");
    }
}

/// The replies, and the contents of messages.
fn run(stream: &[u8], piece: usize, keep: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut settings = SessionSettings::default();
    settings.message_size = LIMIT;
    settings.recipients = RECIPIENTS;
    if keep {
        settings.bare_newlines = BareNewlines::Keep;
    }
    let mut session = Session::new(Arc::new(settings), "fuzz".into());
    let mut replies = Vec::new();
    let mut contents = Vec::new();
    session.greet(&mut replies);
    for mut input in stream.chunks(piece) {
        loop {
            let event = session.receive(&mut input, &mut replies);
            assert!(session.held() <= HELD, "{} bytes", session.held());
            match event {
                Event::NeedInput => break,
                Event::Message(delivery) => {
                    assert!(delivery.content.len() <= LIMIT);
                    assert!((1..=RECIPIENTS).contains(&delivery.recipients.len()));
                    for recipient in &delivery.recipients {
                        let text = format!("{:?} {}", delivery.sender, recipient.address);
                        session.reply(&Reply::delivered(text), &mut replies);
                    }
                    contents.push(delivery.content.to_vec());
                }
                _ => {
                    session.goodbye(&mut replies);
                    return (replies, contents);
                }
            }
        }
    }
    (replies, contents)
}
