//! Bytes from a peer of the milter listener: frames, commands, session.

use std::sync::Arc;

use std::time::SystemTime;
use waxseal::message::Limits;
use waxseal_milter::codec::Decoder;
use waxseal_milter::session::{Session, Step};
use waxseal_milter::{EnvelopeInfo, Filter, Interest, Listener, Response, Submission};

use crate::cost::Cost;

struct Everything;

impl Filter for Everything {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), envelope: &EnvelopeInfo<'_>) -> Interest {
        match envelope.recipients.len() {
            0 => Interest::Pass,
            1 => Interest::Decide,
            _ => Interest::Header,
        }
    }

    async fn filter(&self, (): (), _: Submission) -> Response {
        Response::accept()
    }
}

/// Maximum bytes of a message.
const LIMIT: usize = 1000;

/// The first byte is the length of the pieces in which the stream arrives.
///
/// Checks that a connection holds at most the limit, and that a stream in pieces has the same result as in one piece.
pub(crate) fn check(data: &[u8]) {
    let (piece, stream) = data
        .split_first()
        .map_or((1, data), |(first, rest)| (*first, rest));
    let piece = usize::from(piece).max(1);
    let replies = Cost::PASSES.hold("a connection", data.len(), || answers(stream, piece));
    assert_eq!(
        replies,
        answers(stream, usize::MAX),
        "it depends on the pieces"
    );
}

/// The replies, and the number of complete messages.
fn answers(stream: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let mut session = Session::new(
        Arc::new(Everything),
        Arc::new(Listener::new("fuzz")),
        Limits {
            size: LIMIT,
            ..Limits::default()
        },
        || SystemTime::UNIX_EPOCH,
    );
    let mut decoder = Decoder::default();
    let mut replies = Vec::new();
    let mut complete = 0;
    for mut input in stream.chunks(piece) {
        loop {
            match decoder.next(&mut input) {
                Ok(Some(frame)) => match session.step(frame, &mut replies) {
                    Ok(Step::Close) | Err(_) => return (replies, complete),
                    Ok(Step::Decide(message)) => {
                        assert!(message.collected.size() <= LIMIT);
                        complete += 1;
                    }
                    // The names of the fields are stored in addition.
                    Ok(Step::Continue) => assert!(session.held() <= 2 * LIMIT),
                },
                Ok(None) => break,
                Err(_) => return (replies, complete),
            }
        }
    }
    (replies, complete)
}
