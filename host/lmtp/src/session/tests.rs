//! Tests of sessions: transcripts, hostile input, and input in pieces.

use std::sync::Arc;

use proptest::prelude::*;

use super::{BareNewlines, Event, LONGEST_LINE, Session, SessionSettings};
use crate::delivery::Delivery;
use crate::reply::Reply;

fn settings(set: impl FnOnce(&mut SessionSettings)) -> SessionSettings {
    let mut settings = SessionSettings {
        name: "mx.test".into(),
        ..SessionSettings::default()
    };
    set(&mut settings);
    settings
}

/// What a session does with input that arrives in pieces: its replies, its messages,
/// whether it ended, and the most memory that it held.
struct Ran {
    replies: String,
    deliveries: Vec<Delivery>,
    ended: bool,
    held: usize,
}

fn run_pieces<'a>(settings: SessionSettings, pieces: impl Iterator<Item = &'a [u8]>) -> Ran {
    let mut session = Session::new(Arc::new(settings), "test".into());
    let mut out = Vec::new();
    let mut ran = Ran {
        replies: String::new(),
        deliveries: Vec::new(),
        ended: false,
        held: 0,
    };
    'pieces: for mut piece in pieces {
        loop {
            match session.receive(&mut piece, &mut out) {
                Event::NeedInput => break,
                Event::Message(delivery) => {
                    for recipient in &delivery.recipients {
                        let text = format!("{}", recipient.address);
                        session.reply(&Reply::delivered(text), &mut out);
                    }
                    ran.deliveries.push(*delivery);
                }
                Event::Quit => {
                    session.goodbye(&mut out);
                    ran.ended = true;
                    break 'pieces;
                }
                Event::Close => {
                    ran.ended = true;
                    break 'pieces;
                }
            }
            ran.held = ran.held.max(session.held());
        }
        ran.held = ran.held.max(session.held());
    }
    ran.replies = String::from_utf8(out).expect("UTF-8");
    ran
}

fn run(input: impl AsRef<[u8]>) -> Ran {
    run_pieces(settings(|_| {}), std::iter::once(input.as_ref()))
}

/// The codes of the replies, one for each.
fn codes(ran: &Ran) -> Vec<&str> {
    let lines = ran.replies.split_terminator("\r\n");
    lines
        .filter(|line| line.as_bytes()[3] == b' ')
        .map(|line| &line[..3])
        .collect()
}

#[test]
fn the_greeting_and_what_is_announced() {
    let session = Session::new(Arc::new(settings(|_| {})), "test".into());
    let mut out = Vec::new();
    session.greet(&mut out);
    assert_eq!(out, b"220 mx.test LMTP\r\n");
    assert_eq!(
        run("LHLO a\r\n").replies,
        "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n\
         250 SIZE 134217728\r\n"
    );
}

#[test]
fn a_message_has_all_that_the_client_sent() {
    let ran = run(
        "LHLO mx.test\r\nXFORWARD ADDR=192.0.2.7 PORT=9\r\nXFORWARD IDENT=4F00D\r\n\
         MAIL FROM:<\"a b\"@c> SIZE=9 BODY=8BITMIME SMTPUTF8 ENVID=x RET=HDRS\r\n\
         RCPT TO:<b@c> ORCPT=rfc822;B@c NOTIFY=NEVER\r\nRCPT TO:<ü@c>\r\nRCPT TO:<b@c>\r\n\
         DATA\r\na\r\n..b\r\n.\r\nQUIT\r\n",
    );
    assert_eq!(
        codes(&ran),
        [
            "250", "250", "250", "250", "250", "250", "250", "354", "250", "250", "250", "221"
        ]
    );
    assert!(ran.replies.contains("250 2.0.0 ü@c\r\n"));
    assert!(ran.ended);
    let [delivery] = &ran.deliveries[..] else {
        panic!("one message");
    };
    let display = |item: &dyn std::fmt::Display| item.to_string();
    assert_eq!(
        delivery.sender.as_ref().map(|s| s.as_str()),
        Some("\"a b\"@c")
    );
    assert_eq!(&*delivery.client, "mx.test");
    assert_eq!(delivery.declared_size, Some(9));
    assert_eq!(
        delivery.body.map(|b| display(&b)).as_deref(),
        Some("8BITMIME")
    );
    assert!(delivery.smtputf8);
    assert_eq!(delivery.envid.as_ref().map(|e| e.as_str()), Some("x"));
    assert_eq!(delivery.ret.map(|r| display(&r)).as_deref(), Some("HDRS"));
    assert_eq!(delivery.forwarded.port.as_deref(), Some("9"));
    assert_eq!(delivery.forwarded.ident.as_deref(), Some("4F00D"));
    assert_eq!(&*delivery.content, b"a\r\n.b\r\n");
    let recipients: Vec<(usize, &str)> = delivery
        .recipients
        .iter()
        .map(|recipient| (recipient.position, recipient.address.as_str()))
        .collect();
    assert_eq!(recipients, [(0, "b@c"), (1, "ü@c"), (2, "b@c")]);
    let first = &delivery.recipients[0];
    assert_eq!(first.notify.map(|n| display(&n)).as_deref(), Some("NEVER"));
    let orcpt = first.orcpt.as_ref().map(|o| display(o));
    assert_eq!(orcpt.as_deref(), Some("rfc822;B@c"));
}

#[test]
fn commands_have_their_places() {
    for (input, expected) in [
        ("NOOP\r\nRSET\r\nVRFY a\r\nQUIT\r\n", "250 250 252 221"),
        ("MAIL FROM:<>\r\n", "503"),
        ("XFORWARD PORT=1\r\n", "503"),
        ("RSET\r\nMAIL FROM:<>\r\n", "250 503"),
        ("LHLO a\r\nRCPT TO:<a>\r\n", "250 503"),
        ("LHLO a\r\nDATA\r\n", "250 503"),
        ("LHLO a\r\nMAIL FROM:<>\r\nDATA\r\n", "250 250 503"),
        ("LHLO a\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n", "250 250 503"),
        (
            "LHLO a\r\nMAIL FROM:<>\r\nXFORWARD PORT=1\r\n",
            "250 250 503",
        ),
        (
            "LHLO a\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<a>\r\n",
            "250 250 250 503",
        ),
        (
            "LHLO a\r\nMAIL FROM:<>\r\nLHLO a\r\nRCPT TO:<a>\r\n",
            "250 250 250 503",
        ),
        (
            "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\n",
            "250 250 501 503",
        ),
        ("EHLO a\r\nHELO a\r\nLHLO a\r\n", "500 500 250"),
        ("LHLO a\nNOOP\r\n", "500 250"),
        ("LHLO a\r\nMAIL FROM:<> SIZE=134217729\r\n", "250 552"),
        ("LHLO a\r\nMAIL FROM:<> SIZE=134217728\r\n", "250 250"),
        // 421 after the second error of the settings below.
        ("X\r\nNOOP\r\nX\r\nX\r\nNOOP\r\n", "500 250 500 500 421"),
    ] {
        let settings = settings(|settings| settings.errors = 3);
        let ran = run_pieces(settings, std::iter::once(input.as_bytes()));
        assert_eq!(codes(&ran).join(" "), expected, "{input:?}");
    }
}

#[test]
fn what_is_pipelined_behind_a_refused_command_is_no_error() {
    let rcpt = "RCPT TO:<a>\r\n".repeat(100);
    let ran = run(format!(
        "LHLO a\r\nMAIL FROM:<@a:b@c>\r\n{rcpt}DATA\r\nMAIL FROM:<>\r\n{rcpt}RSET\r\n"
    ));
    assert!(!ran.ended);
    let bad = "RCPT TO:<@a:b@c>\r\n".repeat(100);
    assert!(!run(format!("LHLO a\r\nMAIL FROM:<>\r\n{bad}DATA\r\n")).ended);
    assert!(run(format!("LHLO a\r\n{}", "DATA x\r\n".repeat(20))).ended);
}

#[test]
fn a_session_goes_on_after_a_message_without_what_belonged_to_it() {
    let message = "MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n.\r\n";
    let ran = run(format!(
        "LHLO a\r\nXFORWARD IDENT=1\r\n{message}{message}XFORWARD IDENT=2\r\nRSET\r\n{message}"
    ));
    let idents: Vec<Option<&str>> = ran
        .deliveries
        .iter()
        .map(|delivery| delivery.forwarded.ident.as_deref())
        .collect();
    assert_eq!(idents, [Some("1"), None, None]);
    assert!(
        ran.deliveries
            .iter()
            .all(|delivery| delivery.content.is_empty())
    );
}

#[test]
fn replies_are_ascii_without_smtputf8() {
    let ran = run("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<ü@c>\r\nDATA\r\n.\r\n");
    assert!(
        ran.replies.ends_with("250 2.0.0 ?@c\r\n"),
        "{}",
        ran.replies
    );
}

#[test]
fn recipients_and_content_have_limits() {
    let limited = |recipients: usize, content: &str| {
        let settings = settings(|settings| {
            settings.recipients = 3;
            settings.message_size = 10;
        });
        let rcpt = "RCPT TO:<a>\r\n".repeat(recipients);
        let input = format!("LHLO a\r\nMAIL FROM:<>\r\n{rcpt}DATA\r\n{content}\r\n.\r\n");
        let ran = run_pieces(settings, std::iter::once(input.as_bytes()));
        (codes(&ran).join(" "), ran.deliveries.len())
    };
    assert_eq!(
        limited(3, "01234567"),
        ("250 250 250 250 250 354 250 250 250".into(), 1)
    );
    assert_eq!(
        limited(2, "012345678"),
        ("250 250 250 250 354 552 552".into(), 0)
    );
    assert_eq!(
        limited(5, ""),
        ("250 250 250 250 250 452 452 354 250 250 250".into(), 1)
    );
}

#[test]
fn content_with_bare_newlines_is_refused_for_each_recipient_and_smuggles_nothing() {
    let start = "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nRCPT TO:<b>\r\nDATA\r\na";
    for smuggled in [
        "\n.\n",
        "\r.\r",
        "\n.\r\n",
        "\r\n.\n",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n\n.\r\n",
    ] {
        let input = format!("{start}{smuggled}MAIL FROM:<evil>\r\nRCPT TO:<c>\r\n.\r\n");
        let ran = run(&input);
        assert_eq!(
            codes(&ran).join(" "),
            "250 250 250 250 354 554 554",
            "{input:?}"
        );
        let keep = settings(|settings| settings.bare_newlines = BareNewlines::Keep);
        let ran = run_pieces(keep, std::iter::once(input.as_bytes()));
        assert_eq!(
            codes(&ran).join(" "),
            "250 250 250 250 354 250 250",
            "{input:?}"
        );
    }
}

#[test]
fn refused_content_is_read_to_its_end() {
    let mut session = Session::new(Arc::new(settings(|_| {})), "test".into());
    let mut out = Vec::new();
    let mut input: &[u8] = b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\nabc\r\n";
    session.receive(&mut input, &mut out);
    assert!(session.is_in_content() && session.held() > 4096);
    out.clear();
    session.refuse_content(&Reply::deferred("full"));
    assert!(session.held() < 4096);
    let mut input: &[u8] = b"abc\r\n.\r\nNOOP\r\n";
    assert!(matches!(
        session.receive(&mut input, &mut out),
        Event::NeedInput
    ));
    assert_eq!(out, b"451 4.3.0 full\r\n250 2.0.0 Ok\r\n");
}

#[test]
fn a_line_is_bounded_and_what_exceeds_it_is_dropped() {
    for length in [LONGEST_LINE - 2, LONGEST_LINE - 1, 10 * LONGEST_LINE] {
        let line = format!("NOOP {}\r\n", "a".repeat(length - 5));
        let expected = if line.len() <= LONGEST_LINE {
            "250"
        } else {
            "500"
        };
        for piece in [1, 100, 4096, usize::MAX] {
            let input = format!("{line}NOOP\r\n");
            let mut session = Session::new(Arc::new(settings(|_| {})), "test".into());
            let mut out = Vec::new();
            for mut piece in input.as_bytes().chunks(piece) {
                session.receive(&mut piece, &mut out);
                assert!(session.line_held() <= LONGEST_LINE);
            }
            let replies = String::from_utf8(out).expect("ASCII");
            assert!(replies.starts_with(expected) && replies.ends_with("250 2.0.0 Ok\r\n"));
        }
    }
}

#[test]
fn no_input_is_used_while_replies_are_owed() {
    let mut session = Session::new(Arc::new(settings(|_| {})), "test".into());
    let mut out = Vec::new();
    let text = "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nRCPT TO:<b>\r\nDATA\r\n.\r\nNOOP\r\n";
    let mut input = text.as_bytes();
    assert!(matches!(
        session.receive(&mut input, &mut out),
        Event::Message(_)
    ));
    for _ in 0..2 {
        session.receive(&mut input, &mut out);
        assert_eq!(input, b"NOOP\r\n");
        session.reply(&Reply::delivered(""), &mut out);
    }
    session.receive(&mut input, &mut out);
    assert!(input.is_empty());
    let length = out.len();
    session.reply(&Reply::delivered(""), &mut out);
    assert_eq!(out.len(), length, "nobody is left");
}

/// Lines of a session, whole and broken.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "LHLO a\r\n",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<a@b> SMTPUTF8\r\n",
        "RCPT TO:<a@b>\r\n",
        "RCPT TO:<ü@b> NOTIFY=NEVER\r\n",
        "DATA\r\n",
        "text\r\n",
        "..dots\r\n",
        ".\r\n",
        ".\r\r\n",
        "\n.\n",
        "\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "NOOP\n",
        "QUIT\r\n",
        "XFORWARD NAME=a ADDR=1.2.3.4\r\n",
        "EHLO a\r\n",
    ]);
    prop_oneof![
        9 => known.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (4080_usize..4110).prop_map(|length| [&vec![b'a'; length][..], b"\r\n"].concat()),
    ]
}

proptest! {
    #[test]
    fn input_in_pieces_has_the_same_result(
        start in any::<bool>(),
        lines in prop::collection::vec(line(), 0..40),
        keep in any::<bool>(),
        sizes in prop::collection::vec(1_usize..60, 1..30),
    ) {
        let start: &[u8] = if start {
            b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n"
        } else {
            b""
        };
        let input = [start, &lines.concat()].concat();
        let settings = || settings(|settings| {
            settings.message_size = 200;
            settings.bare_newlines = if keep { BareNewlines::Keep } else { BareNewlines::Reject };
        });
        let whole = run_pieces(settings(), std::iter::once(&input[..]));
        let mut rest = &input[..];
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = (*sizes.next()?).min(rest.len());
            let (piece, after) = rest.split_at(size);
            rest = after;
            (size > 0).then_some(piece)
        });
        let pieces = run_pieces(settings(), pieces);
        prop_assert_eq!(&whole.replies, &pieces.replies);
        prop_assert_eq!(whole.ended, pieces.ended);
        let contents = |ran: &Ran| -> Vec<_> {
            ran.deliveries.iter().map(|delivery| delivery.content.clone()).collect()
        };
        prop_assert_eq!(contents(&whole), contents(&pieces));
        prop_assert!(pieces.held < 100_000);
    }
}
