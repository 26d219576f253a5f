//! Whatever a peer sends to the milter listener: no panic, no memory beyond the
//! limits.

#![no_main]

use std::sync::Arc;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use waxseal::decision::Verdict;
use waxseal::milter::codec::Decoder;
use waxseal::milter::session::{Session, Step};
use waxseal::milter::{Answer, Early, Filter, Interest, LetGo, Listener, SizeLimit, Submission};

struct Everything;

impl Filter for Everything {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), early: &Early<'_>) -> Interest {
        match early.recipients.len() {
            0 => Interest::Pass,
            1 => Interest::Decide,
            _ => Interest::Header,
        }
    }

    async fn filter(&self, (): (), _: Submission) -> Answer {
        Answer::accept()
    }
}

const LIMIT: usize = 1000;

fuzz_target!(|stream: &[u8]| {
    let (piece, stream) = stream
        .split_first()
        .map_or((1, stream), |(first, rest)| (*first, rest));
    let mut session = Session::new(
        Arc::new(Everything),
        Arc::new(Listener {
            name: "fuzz".into(),
            let_go: LetGo::AtEnd,
        }),
        Arc::new(SizeLimit {
            bytes: LIMIT,
            verdict: Verdict::Discard,
        }),
        || Timestamp::UNIX_EPOCH,
    );
    let mut decoder = Decoder::default();
    let mut replies = Vec::new();
    for mut input in stream.chunks(usize::from(piece).max(1)) {
        loop {
            match decoder.next(&mut input) {
                Ok(Some(frame)) => match session.step(frame, &mut replies) {
                    Ok(Step::Close) | Err(_) => return,
                    Ok(Step::Decide(complete)) => {
                        assert!(complete.submission.content.bytes().len() <= LIMIT);
                    }
                    Ok(Step::Continue) => assert!(session.held() <= LIMIT),
                },
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
