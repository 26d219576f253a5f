use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::*;
use crate::message::Limits;
use crate::milter::codec::{Decoder, Frame, Kind};
use crate::milter::filter::{Filter, Interest, Response};
use crate::milter::listener::Listener;
use crate::milter::negotiation::{EarlyAccept, UnsupportedVersion};
use crate::milter::submission::{EnvelopeInfo, Submission};

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

struct Talk {
    session: Session<Stub>,
    filter: Arc<Stub>,
    replies: Vec<u8>,
    decided: Vec<Submission>,
}

const POSTFIX: [u32; 3] = [6, 0x1ff, 0x1f_ffff];
const VERSION_2: [u32; 3] = [2, 0x3f, 0x7f];

impl Talk {
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
            || Timestamp::UNIX_EPOCH,
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
        talk.say(b'O', &offer.map(u32::to_be_bytes).concat());
        talk.heard();
        talk
    }

    fn try_say(&mut self, name: u8, data: &[u8]) -> Result<(), ProtocolError> {
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

    fn say(&mut self, name: u8, data: &[u8]) {
        self.try_say(name, data).expect("in order");
    }

    /// Replies since the last call, by their bytes.
    fn heard(&mut self) -> String {
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
        self.say(b'D', &[&[stage], pairs.as_bytes()].concat());
    }

    fn envelope(&mut self) {
        self.say(b'M', b"<a@example.org>\0SIZE=10\0");
        self.say(b'R', b"<b@example.net>\0");
    }

    fn content(&mut self) {
        self.say(b'T', b"");
        self.say(b'L', b"From\0 a@example.org\0");
        self.say(b'N', b"");
        self.say(b'B', b"Hello\r");
        self.say(b'B', b"\nworld\r\n");
        self.say(b'E', b"");
    }
}

#[test]
fn a_message_is_put_together_byte_for_byte() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'C', "v\0Postfix 3.7.11\0");
    talk.say(b'C', b"client.example\x004\x9c\x40192.0.2.7\0");
    talk.say(b'H', b"helo.example\0");
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.say(b'M', b"<a@example.org>\0");
    talk.macros(b'R', "{rcpt_mailer}\0smtp\0");
    talk.say(b'R', b"<b@example.net>\0");
    talk.say(b'R', b"<c d>\0NOTIFY=NEVER\0");
    talk.macros(
        b'T',
        "i\x004F00D\0{auth_authen}\0alice\0{tls_version}\0TLSv1.3\0",
    );
    talk.say(b'T', b"");
    talk.say(b'L', b"Subject\0\ta\n b\n\tc\0");
    talk.say(b'L', b"X-None\0\0");
    talk.say(b'N', b"");
    talk.say(b'B', b"cut between CR\r");
    talk.say(b'B', b"\nand LF\r\n");
    talk.say(b'E', b"last\r\n");
    assert_eq!(talk.heard(), "");
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
fn without_leading_space_the_one_that_the_mta_took_is_put_back() {
    let mut talk = Talk::agreed(Interest::Decide, VERSION_2);
    talk.envelope();
    talk.say(b'L', b"A\0x\n y\0");
    talk.say(b'N', b"");
    talk.say(b'E', b"");
    assert_eq!(talk.heard(), "cccc");
    assert_eq!(talk.decided[0].content.bytes(), b"A: x\r\n y\r\n\r\n");
}

#[test]
fn the_filter_is_asked_once_with_login_and_all_recipients() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'M', "{auth_authen}\0alice\0");
    talk.envelope();
    talk.say(b'R', b"<c@example.net>\0");
    talk.content();
    assert_eq!(*talk.filter.asked.lock().expect("lock"), ["alice 2"]);
}

#[test]
fn a_login_is_never_taken_over_from_another_message() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
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
    talk.say(b'A', b"");
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
    let mut talk = Talk::agreed(Interest::Pass, POSTFIX);
    talk.envelope();
    talk.say(b'T', b"");
    let envelope = talk.session.held();
    talk.say(b'L', b"From\0 a@example.org\0");
    talk.say(b'N', b"");
    talk.say(b'B', &[b'x'; 60_000]);
    assert_eq!(talk.session.held(), envelope);
    talk.say(b'E', b"");
    assert_eq!((talk.heard().as_str(), talk.decided.len()), ("a", 0));
}

#[test]
fn a_message_that_passes_is_let_go_as_early_as_the_mta_listens() {
    let mut talk = Talk::new(Interest::Pass, EarlyAccept::AtData);
    talk.say(b'O', &POSTFIX.map(u32::to_be_bytes).concat());
    talk.heard();
    talk.envelope();
    talk.say(b'T', b"");
    assert_eq!(
        (talk.heard().as_str(), talk.session.state()),
        ("a", State::Answered)
    );
    let mut talk = Talk::agreed(Interest::Pass, VERSION_2);
    talk.envelope();
    talk.say(b'L', b"From\0a@example.org\0");
    assert_eq!(talk.heard(), "cca");
    talk.envelope();
    assert_eq!(talk.heard(), "cc");
}

#[test]
fn the_header_alone_is_kept_where_that_is_enough() {
    let mut talk = Talk::agreed(Interest::Header, POSTFIX);
    talk.envelope();
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert_eq!(submission.content.bytes(), b"From: a@example.org\r\n\r\n");
    assert!(!submission.body_collected);
    // Where body chunks are answered, no more of them are asked for.
    let mut talk = Talk::agreed(Interest::Header, [6, 0x1ff, 0x400]);
    talk.envelope();
    talk.say(b'T', b"");
    talk.say(b'N', b"");
    talk.say(b'B', b"Hello");
    assert_eq!(talk.heard(), "ccccs");
}

#[test]
fn a_message_over_the_limit_is_let_go_and_refused_at_its_end() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.envelope();
    talk.say(b'T', b"");
    talk.say(b'N', b"");
    talk.say(b'B', &[b'x'; 1001]);
    assert_eq!((talk.heard().as_str(), talk.session.held()), ("", 0));
    talk.say(b'B', &[b'x'; 1001]);
    talk.say(b'E', b"");
    let text = String::from_utf8_lossy(&talk.replies).into_owned();
    assert!(
        text.contains("552 5.3.4 the message has more than 1000 bytes"),
        "{text}"
    );
    assert_eq!(talk.decided.len(), 0);
    // The next one is as good as any.
    talk.heard();
    talk.envelope();
    talk.content();
    assert_eq!(talk.decided.len(), 1);
    // An envelope counts too.
    talk.envelope();
    for _ in 0..100 {
        talk.say(b'R', b"<b@example.net>\0");
    }
    talk.content();
    assert_eq!((talk.heard().as_str(), talk.decided.len()), ("y", 1));
}

#[test]
fn a_message_over_the_limit_is_refused_at_once_where_steps_are_answered() {
    let mut talk = Talk::agreed(Interest::Decide, VERSION_2);
    talk.envelope();
    talk.say(b'N', b"");
    talk.say(b'B', &[b'x'; 2000]);
    assert_eq!(
        (talk.heard().as_str(), talk.session.state()),
        ("cccy", State::Answered)
    );
}

#[test]
fn abort_forgets_the_message_and_is_not_answered() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.macros(b'M', "i\x004F00D\0");
    talk.envelope();
    talk.say(b'T', b"");
    talk.say(b'L', b"From\0 stale\0");
    talk.say(b'A', b"");
    assert_eq!((talk.session.held(), talk.session.queue_id()), (0, ""));
    talk.envelope();
    talk.content();
    assert_eq!(talk.heard(), "");
    let content = talk.decided.pop().expect("one message").content;
    assert!(content.bytes().starts_with(b"From: a@example.org"));
}

#[test]
fn sendmail_sends_another_client_over_the_same_connection() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.say(b'C', b"one.example\x004\x9c\x40192.0.2.1\0");
    talk.say(b'H', b"one\0");
    talk.envelope();
    talk.content();
    talk.say(b'K', b"");
    talk.say(b'C', b"[192.0.2.2]\x004\x9c\x40192.0.2.2\0");
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
fn mail_of_the_mtas_own_host_has_no_client() {
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.macros(
        b'C',
        "{client_addr}\x00127.0.0.1\0{client_name}\0localhost\0",
    );
    talk.say(b'C', b"localhost\x004\0\x00127.0.0.1\0");
    talk.say(b'M', b"\0");
    talk.say(b'R', b"bob@example.net\0");
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert!(submission.submitted_locally);
    assert_eq!(
        (submission.client.address, submission.client.name),
        (None, None)
    );
    assert_eq!(submission.sender, Ok(crate::message::ReversePath::Null));
    // A client on the same host that came by SMTP has a port.
    talk.say(b'C', b"localhost\x004\x9c\x40127.0.0.1\0");
    talk.envelope();
    talk.content();
    let submission = talk.decided.pop().expect("one message");
    assert!(!submission.submitted_locally && submission.client.address.is_some());
}

#[test]
fn steps_out_of_place_end_the_conversation() {
    let mut talk = Talk::new(Interest::Decide, EarlyAccept::Off);
    let place = |kind, state| Err(ProtocolError::UnexpectedCommand { kind, state });
    assert_eq!(
        talk.try_say(b'M', b"<a@b>\0"),
        place(Kind::Mail, State::Start)
    );
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    assert_eq!(talk.try_say(b'B', b"x"), place(Kind::Body, State::Agreed));
    let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
    talk.envelope();
    assert_eq!(
        talk.try_say(b'E', b""),
        place(Kind::EndOfBody, State::Envelope)
    );
    let mut talk = Talk::new(Interest::Decide, EarlyAccept::Off);
    assert_eq!(
        talk.try_say(b'O', &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        Err(ProtocolError::Version(UnsupportedVersion(1)))
    );
}

/// Feeds a session with whatever it is: the same as the fuzz target does.
pub(in crate::milter) fn replay(stream: &[u8]) {
    let mut talk = Talk::new(Interest::Decide, EarlyAccept::Off);
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
    let mut talk = Talk::agreed(interest, POSTFIX);
    talk.session.limits = limits;
    talk.say(b'M', b"<a@b.test>\0");
    for (name, data) in protocol_flags {
        talk.say(*name, data);
    }
    talk.say(b'E', b"");
    String::from_utf8_lossy(&talk.replies).into_owned()
}

#[test]
fn m1_a_message_with_too_much_of_anything_is_refused_with_the_number() {
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
        let mut talk = Talk::agreed(Interest::Decide, POSTFIX);
        talk.session.limits = Limits::default();
        talk.envelope();
        fields.iter().for_each(|field| talk.say(b'L', field));
        talk.say(b'N', b"");
        body.chunks(65_535).for_each(|chunk| talk.say(b'B', chunk));
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
fn d2_a_header_that_grew_since_the_message_was_accepted_is_not_refused() {
    let limits = Limits {
        header_fields: 3,
        ..Limits::default()
    };
    let mut talk = Talk::agreed(Interest::Header, POSTFIX);
    talk.session.limits = limits;
    talk.envelope();
    (0..5).for_each(|_| talk.say(b'L', b"A\0 b\0"));
    talk.say(b'N', b"");
    assert!(talk.session.held() > 0, "it is there still");
}
