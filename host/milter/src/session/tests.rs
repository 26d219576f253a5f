use std::sync::{Arc, Mutex};

use std::time::SystemTime;

use super::*;
use crate::codec::{Decoder, Frame, Kind};
use crate::filter::{Filter, Interest, Response};
use crate::listener::Listener;
use crate::negotiation::{EarlyAccept, UnsupportedVersion};
use crate::submission::{EnvelopeInfo, Submission};
use waxseal_core::message::Limits;

/// Wants what the test says, and remembers what it was asked.
struct Stub {
    interest: Interest,
    asked: Mutex<Vec<String>>,
}

impl Filter for Stub {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), envelope: &EnvelopeInfo<'_>) -> Interest {
        let user = envelope.client.user.as_deref().unwrap_or("nobody");
        let recipients = envelope.recipients.len();
        self.asked
            .lock()
            .expect("lock")
            .push(format!("{user} {recipients}"));
        self.interest
    }

    async fn filter(&self, (): (), _: Submission) -> Response {
        Response::accept()
    }
}

struct TestSession {
    session: Session<Stub>,
    filter: Arc<Stub>,
    replies: Vec<u8>,
    decided: Vec<Submission>,
}

const POSTFIX: [u32; 3] = [6, 0x1ff, 0x1f_ffff];
const VERSION_2: [u32; 3] = [2, 0x3f, 0x7f];

impl TestSession {
    fn new(interest: Interest, early_accept: EarlyAccept) -> Self {
        let filter = Arc::new(Stub {
            interest,
            asked: Mutex::default(),
        });
        let session = Session::new(
            Arc::clone(&filter),
            Arc::new(Listener {
                name: "out".into(),
                early_accept,
            }),
            Limits {
                size: 1000,
                ..Limits::default()
            },
            || SystemTime::UNIX_EPOCH,
        );
        Self {
            session,
            filter,
            replies: Vec::new(),
            decided: Vec::new(),
        }
    }

    fn agreed(interest: Interest, offer: [u32; 3]) -> Self {
        let mut talk = Self::new(interest, EarlyAccept::Off);
        talk.send(b'O', &offer.map(u32::to_be_bytes).concat());
        talk.take_replies();
        talk
    }

    fn try_send(&mut self, name: u8, data: &[u8]) -> Result<(), ProtocolError> {
        let mut stream = u32::try_from(data.len() + 1)
            .expect("short")
            .to_be_bytes()
            .to_vec();
        stream.push(name);
        stream.extend_from_slice(data);
        let mut input = &stream[..];
        let mut decoder = Decoder::default();
        while let Some(frame) = decoder.next(&mut input)? {
            if let Step::Decide(complete) = self.session.step(frame, &mut self.replies)? {
                self.decided.push(complete.collected.submission());
            }
        }
        Ok(())
    }

    fn send(&mut self, name: u8, data: &[u8]) {
        self.try_send(name, data).expect("in order");
    }

    /// Replies since the last call, by their bytes.
    fn take_replies(&mut self) -> String {
        let replies = std::mem::take(&mut self.replies);
        let mut input = &replies[..];
        let mut names = String::new();
        let mut decoder = Decoder::default();
        while let Some(frame) = decoder.next(&mut input).expect("well-formed") {
            match frame {
                Frame::Whole { name, .. } => names.push(char::from(name)),
                Frame::Body { .. } => names.push('B'),
            }
        }
        names
    }

    fn macros(&mut self, stage: u8, pairs: &str) {
        self.send(b'D', &[&[stage], pairs.as_bytes()].concat());
    }

    fn envelope(&mut self) {
        self.send(b'M', b"<a@example.org>\0SIZE=10\0");
        self.send(b'R', b"<b@example.net>\0");
    }

    fn content(&mut self) {
        self.send(b'T', b"");
        self.send(b'L', b"From\0 a@example.org\0");
        self.send(b'N', b"");
        self.send(b'B', b"Hello\r");
        self.send(b'B', b"\nworld\r\n");
        self.send(b'E', b"");
    }
}

#[test]
fn a_message_is_put_together_byte_for_byte() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'C', "v\0Postfix 3.7.11\0");
    talk.send(b'C', b"client.example\x004\x9c\x40192.0.2.7\0");
    talk.send(b'H', b"helo.example\0");
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.send(b'M', b"<a@example.org>\0");
    talk.macros(b'R', "{rcpt_mailer}\0smtp\0");
    talk.send(b'R', b"<b@example.net>\0");
    talk.send(b'R', b"<c d>\0NOTIFY=NEVER\0");
    talk.macros(
        b'T',
        "i\x004F00D\0{auth_authen}\0alice\0{tls_version}\0TLSv1.3\0",
    );
    talk.send(b'T', b"");
    talk.send(b'L', b"Subject\0\ta\n b\n\tc\0");
    talk.send(b'L', b"X-None\0\0");
    talk.send(b'N', b"");
    talk.send(b'B', b"cut between CR\r");
    talk.send(b'B', b"\nand LF\r\n");
    talk.send(b'E', b"last\r\n");
    assert_eq!(talk.take_replies(), "");
    let submission = talk.decided.pop().expect("one message");
    assert_eq!(
        submission.content.bytes(),
        b"Subject:\ta\r\n b\r\n\tc\r\nX-None:\r\n\r\ncut between CR\r\nand LF\r\nlast\r\n"
    );
    assert_eq!(submission.queue_id, "4F00D");
    assert_eq!(submission.mta.as_deref(), Some("Postfix 3.7.11"));
    let client = &submission.client;
    assert_eq!(
        client.address,
        Some("192.0.2.7".parse().expect("an address"))
    );
    assert_eq!(client.name.as_deref(), Some("client.example"));
    assert_eq!(client.helo.as_deref(), Some("helo.example"));
    assert_eq!(client.user.as_deref(), Some("alice"));
    assert!(!submission.submitted_locally && submission.body_collected);
    let [first, second] = &submission.recipients[..] else {
        panic!("two recipients")
    };
    assert_eq!(first.mailer.as_deref(), Some("smtp"));
    assert_eq!(second.mailer, None);
    let unreadable = second.address.as_ref().expect_err("no address");
    assert_eq!(&*unreadable.raw, b"<c d>");
}

#[test]
fn without_leading_space_one_space_is_restored() {
    let mut talk = TestSession::agreed(Interest::Decide, VERSION_2);
    talk.envelope();
    talk.send(b'L', b"A\0x\n y\0");
    talk.send(b'N', b"");
    talk.send(b'E', b"");
    assert_eq!(talk.take_replies(), "cccc");
    assert_eq!(talk.decided[0].content.bytes(), b"A: x\r\n y\r\n\r\n");
}

#[test]
fn the_filter_is_asked_once_with_login_and_all_recipients() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.envelope();
    talk.send(b'R', b"<c@example.net>\0");
    talk.content();
    assert_eq!(*talk.filter.asked.lock().expect("lock"), ["alice 2"]);
}

#[test]
fn a_login_never_carries_over_to_another_message() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.envelope();
    talk.content();
    // The next message without login: macros of MAIL that lack it, none at all,
    // and after an ABORT.
    talk.macros(b'M', "{mail_addr}\0a@b\0");
    talk.envelope();
    talk.content();
    talk.envelope();
    talk.content();
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.send(b'A', b"");
    talk.envelope();
    talk.content();
    let users: Vec<_> = talk
        .decided
        .iter()
        .map(|message| message.client.user.as_deref())
        .collect();
    assert_eq!(users, [Some("alice"), None, None, None]);
}

#[test]
fn a_message_that_passes_is_not_held() {
    let mut talk = TestSession::agreed(Interest::Pass, POSTFIX);
    talk.envelope();
    talk.send(b'T', b"");
    let envelope = talk.session.held();
    talk.send(b'L', b"From\0 a@example.org\0");
    talk.send(b'N', b"");
    talk.send(b'B', &[b'x'; 60_000]);
    assert_eq!(talk.session.held(), envelope);
    talk.send(b'E', b"");
    assert_eq!((talk.take_replies().as_str(), talk.decided.len()), ("a", 0));
}

#[test]
fn a_message_that_passes_is_accepted_at_the_first_awaited_reply() {
    let mut talk = TestSession::new(Interest::Pass, EarlyAccept::AtData);
    talk.send(b'O', &POSTFIX.map(u32::to_be_bytes).concat());
    talk.take_replies();
    talk.envelope();
    talk.send(b'T', b"");
    assert_eq!(
        (talk.take_replies().as_str(), talk.session.state()),
        ("a", State::Answered)
    );
    let mut talk = TestSession::agreed(Interest::Pass, VERSION_2);
    talk.envelope();
    talk.send(b'L', b"From\0a@example.org\0");
    assert_eq!(talk.take_replies(), "cca");
    talk.envelope();
    assert_eq!(talk.take_replies(), "cc");
}

#[test]
fn only_the_header_is_collected_if_the_filter_wants_no_more() {
    let mut talk = TestSession::agreed(Interest::Header, POSTFIX);
    talk.envelope();
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert_eq!(submission.content.bytes(), b"From: a@example.org\r\n\r\n");
    assert!(!submission.body_collected);
    // Where body chunks are answered, no more of them are asked for.
    let mut talk = TestSession::agreed(Interest::Header, [6, 0x1ff, 0x400]);
    talk.envelope();
    talk.send(b'T', b"");
    talk.send(b'N', b"");
    talk.send(b'B', b"Hello");
    assert_eq!(talk.take_replies(), "ccccs");
}

#[test]
fn a_message_over_the_limit_is_discarded_and_rejected_at_its_end() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.envelope();
    talk.send(b'T', b"");
    talk.send(b'N', b"");
    talk.send(b'B', &[b'x'; 1001]);
    assert_eq!((talk.take_replies().as_str(), talk.session.held()), ("", 0));
    talk.send(b'B', &[b'x'; 1001]);
    talk.send(b'E', b"");
    let text = String::from_utf8_lossy(&talk.replies).into_owned();
    assert!(
        text.contains("552 5.3.4 the message has more than 1000 bytes"),
        "{text}"
    );
    assert_eq!(talk.decided.len(), 0);
    // The next one is as good as any.
    talk.take_replies();
    talk.envelope();
    talk.content();
    assert_eq!(talk.decided.len(), 1);
    // An envelope counts too.
    talk.envelope();
    for _ in 0..100 {
        talk.send(b'R', b"<b@example.net>\0");
    }
    talk.content();
    assert_eq!((talk.take_replies().as_str(), talk.decided.len()), ("y", 1));
}

#[test]
fn a_message_over_the_limit_is_rejected_at_the_first_awaited_reply() {
    let mut talk = TestSession::agreed(Interest::Decide, VERSION_2);
    talk.envelope();
    talk.send(b'N', b"");
    talk.send(b'B', &[b'x'; 2000]);
    assert_eq!(
        (talk.take_replies().as_str(), talk.session.state()),
        ("cccy", State::Answered)
    );
}

#[test]
fn abort_clears_the_message_and_is_not_answered() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'M', "i\x004F00D\0");
    talk.envelope();
    talk.send(b'T', b"");
    talk.send(b'L', b"From\0 stale\0");
    talk.send(b'A', b"");
    assert_eq!((talk.session.held(), talk.session.queue_id()), (0, ""));
    talk.envelope();
    talk.content();
    assert_eq!(talk.take_replies(), "");
    let content = talk.decided.pop().expect("one message").content;
    assert!(content.bytes().starts_with(b"From: a@example.org"));
}

#[test]
fn sendmail_sends_another_client_over_the_same_connection() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.send(b'C', b"one.example\x004\x9c\x40192.0.2.1\0");
    talk.send(b'H', b"one\0");
    talk.envelope();
    talk.content();
    talk.send(b'K', b"");
    talk.send(b'C', b"[192.0.2.2]\x004\x9c\x40192.0.2.2\0");
    talk.envelope();
    talk.content();
    let client = &talk.decided[1].client;
    assert_eq!(
        client.address,
        Some("192.0.2.2".parse().expect("an address"))
    );
    assert_eq!(
        (client.name.as_deref(), client.helo.as_deref()),
        (None, None)
    );
}

#[test]
fn mail_submitted_on_the_mtas_own_host_has_no_client() {
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.macros(
        b'C',
        "{client_addr}\x00127.0.0.1\0{client_name}\0localhost\0",
    );
    talk.send(b'C', b"localhost\x004\0\x00127.0.0.1\0");
    talk.send(b'M', b"\0");
    talk.send(b'R', b"bob@example.net\0");
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert!(submission.submitted_locally);
    assert_eq!(
        (submission.client.address, submission.client.name),
        (None, None)
    );
    assert_eq!(
        submission.sender,
        Ok(waxseal_core::message::ReversePath::Null)
    );
    // A client on the same host that came by SMTP has a port.
    talk.send(b'C', b"localhost\x004\x9c\x40127.0.0.1\0");
    talk.envelope();
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert!(!submission.submitted_locally && submission.client.address.is_some());
}

#[test]
fn unexpected_commands_close_the_connection() {
    let mut talk = TestSession::new(Interest::Decide, EarlyAccept::Off);
    let unexpected = |kind, state| Err(ProtocolError::UnexpectedCommand { kind, state });
    assert_eq!(
        talk.try_send(b'M', b"<a@b>\0"),
        unexpected(Kind::Mail, State::Start)
    );
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    assert_eq!(
        talk.try_send(b'B', b"x"),
        unexpected(Kind::Body, State::Agreed)
    );
    let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
    talk.envelope();
    assert_eq!(
        talk.try_send(b'E', b""),
        unexpected(Kind::EndOfBody, State::Envelope)
    );
    let mut talk = TestSession::new(Interest::Decide, EarlyAccept::Off);
    assert_eq!(
        talk.try_send(b'O', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        Err(ProtocolError::Version(UnsupportedVersion(1)))
    );
}

/// Feeds a session with whatever it is: the same as the fuzz target does.
pub(crate) fn replay(stream: &[u8]) {
    let mut talk = TestSession::new(Interest::Decide, EarlyAccept::Off);
    let mut decoder = Decoder::default();
    for mut input in stream.chunks(97) {
        while let Ok(Some(frame)) = decoder.next(&mut input) {
            if talk.session.step(frame, &mut talk.replies).is_err() {
                return;
            }
            assert!(talk.session.held() <= 1000 + 64 * 1024);
        }
    }
}

/// A step that is said: its byte and its data.
type Said<'a> = (u8, &'a [u8]);

/// What is answered at the end of a message whose steps these are.
fn answered_at_the_end(interest: Interest, limits: Limits, protocol_flags: &[Said]) -> String {
    let mut talk = TestSession::agreed(interest, POSTFIX);
    talk.session.limits = limits;
    talk.send(b'M', b"<a@b.test>\0");
    for (name, data) in protocol_flags {
        talk.send(*name, data);
    }
    talk.send(b'E', b"");
    String::from_utf8_lossy(&talk.replies).into_owned()
}

#[test]
fn m1_a_message_over_any_limit_is_rejected_with_the_number() {
    let limits = Limits {
        size: 1000,
        header_size: 200,
        header_fields: 3,
        recipients: 2,
        addresses: 3,
        ..Limits::default()
    };
    let (rcpt, field, body) = (b'R', b'L', b'B');
    let to: Said = (rcpt, b"<c@d.test>\0");
    let long = [b"A\0 ".as_slice(), &[b'x'; 300], b"\0"].concat();
    let end: Said = (b'N', b"");
    let a: Said = (field, b"A\0 b\0");
    let cases: [(&[Said], &str); 5] = [
        (
            &[to, to, to, end],
            "552 5.5.3 the message has more than 2 recipients",
        ),
        (
            &[to, a, a, a, a, end],
            "552 5.3.4 the message has more than 3 header fields",
        ),
        (
            &[to, (field, &long), end],
            "552 5.3.4 the message has more than 200 bytes of header",
        ),
        (
            &[
                to,
                (field, b"To\0 a@b, c@d\0"),
                (field, b"Cc\0 e@f, g@h\0"),
                end,
            ],
            "552 5.3.4 the message has more than 3 addresses in its header",
        ),
        (
            &[to, end, (body, &[b'x'; 1001])],
            "552 5.3.4 the message has more than 1000 bytes",
        ),
    ];
    for (steps, reply) in cases {
        let answered = answered_at_the_end(Interest::Decide, limits, steps);
        assert!(answered.contains(reply), "{reply}: {answered}");
        // What passes untouched is not measured.
        let passed = answered_at_the_end(Interest::Pass, limits, steps);
        assert!(!passed.contains("552"), "{reply}: {passed}");
    }
    let just: [Said; 6] = [to, to, a, a, a, end];
    let answered = answered_at_the_end(Interest::Decide, limits, &just);
    assert!(!answered.contains("552"), "{answered}");
}

#[test]
fn m1_the_cost_of_processing_grows_with_fields_and_possible_parts() {
    let cost = |fields: &[&[u8]], body: &[u8]| {
        let mut talk = TestSession::agreed(Interest::Decide, POSTFIX);
        talk.session.limits = Limits::default();
        talk.envelope();
        fields.iter().for_each(|field| talk.send(b'L', field));
        talk.send(b'N', b"");
        body.chunks(65_535).for_each(|chunk| talk.send(b'B', chunk));
        let mut stream = 1_u32.to_be_bytes().to_vec();
        stream.push(b'E');
        let mut input = &stream[..];
        let mut decoder = Decoder::default();
        let frame = decoder.next(&mut input).expect("a frame");
        let step = talk.session.step(frame.expect("whole"), &mut talk.replies);
        match step.expect("in order") {
            Step::Decide(complete) => complete.collected.cost(),
            _ => panic!("a message is to be decided on"),
        }
    };
    let text = vec![b'x'; 10_000];
    let plain = cost(&[b"A\0 b\0"], &text);
    assert!((50_000..60_000).contains(&plain), "{plain}");
    let fields = cost(&[b"A\0 b\0"; 1000].map(|field| &field[..]), &text);
    assert!(fields > plain + 1000 * 400, "{fields}");
    let parts = cost(
        &[b"Content-Type\0 multipart/mixed\0"],
        &b"\n--bound--".repeat(1000),
    );
    assert!(parts > plain + 1000 * 450, "{parts}");
    // An honest message of a megabyte has the budget of small ones, whatever its type.
    let honest = b"A line of text in an honest message, and some more of it.\r\n".repeat(1 << 14);
    let honest = cost(&[b"Content-Type\0 multipart/mixed\0"], &honest);
    assert!(honest < 8 << 20, "{honest}");
}

#[test]
fn d2_a_header_that_grew_since_the_message_was_accepted_is_not_rejected() {
    let limits = Limits {
        header_fields: 3,
        ..Limits::default()
    };
    let mut talk = TestSession::agreed(Interest::Header, POSTFIX);
    talk.session.limits = limits;
    talk.envelope();
    (0..5).for_each(|_| talk.send(b'L', b"A\0 b\0"));
    talk.send(b'N', b"");
    assert!(talk.session.held() > 0, "it is there still");
}
