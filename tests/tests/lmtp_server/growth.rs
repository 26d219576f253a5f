//! Whatever a client sends, its cost grows with its length.

use std::sync::Arc;
use std::time::Duration;

use waxseal_lmtp::{Event, Reply, Session, SessionSettings};
use waxseal_testkit::cpu;

/// Bytes of the smaller input, and how many times larger the larger one is.
const SIZE: usize = 128 << 10;
const TIMES: u32 = 16;

/// Most time for [`TIMES`] the bytes: linear work takes 16 times as long, more where
/// the smaller input fits into a cache; quadratic work takes 256 times as long.
const GROWTH: u32 = 64;

/// Time below which it is noise.
const SHORT: Duration = Duration::from_micros(300);

/// Start of a transaction, and a piece of input that is repeated.
const INPUTS: &[(&str, &str)] = &[
    ("", "x"),
    ("", "\r\n"),
    ("", "\n"),
    ("", "NOOP\r\n"),
    ("", "NOOP aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("LHLO a\r\n", "LHLO a\r\n"),
    ("LHLO a\r\n", "RSET\r\n"),
    ("LHLO a\r\n", "MAIL FROM:<a@b>\r\nRSET\r\n"),
    ("LHLO a\r\n", "MAIL FROM:<@a:b@c>\r\n"),
    ("LHLO a\r\n", "XFORWARD NAME=a+20a+20a HELO=b PORT=1\r\n"),
    ("LHLO a\r\nMAIL FROM:<>\r\n", "RCPT TO:<a@b>\r\n"),
    (
        "LHLO a\r\nMAIL FROM:<>\r\n",
        "RCPT TO:<\"\\\"\\\"\\\"\"@b> ORCPT=x;+20+20\r\n",
    ),
    ("LHLO a\r\n", "MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n.\r\n"),
    (
        "LHLO a\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\nx\n\r\n.\r\n",
    ),
    ("DATA", "x"),
    ("DATA", "\r\n"),
    ("DATA", "..\r\n"),
    ("DATA", "."),
    ("DATA", "\r"),
    ("DATA", "\n"),
    ("DATA", "\r\n.\r"),
    ("DATA", "\r\n.\r\r\n"),
];

fn run(input: &[u8], piece: usize) -> usize {
    let settings = SessionSettings::default();
    let mut session = Session::new(Arc::new(settings), "test".into());
    let mut out = Vec::new();
    let mut replies = 0;
    for mut piece in input.chunks(piece) {
        loop {
            let event = session.receive(&mut piece, &mut out);
            // They are written and forgotten.
            replies += out.len();
            out.clear();
            match event {
                Event::Message(delivery) => {
                    for _ in &delivery.recipients {
                        session.reply(&Reply::delivered("taken"), &mut out);
                    }
                }
                Event::NeedInput => break,
                _ => return replies,
            }
        }
    }
    replies
}

#[test]
fn every_input_costs_time_in_proportion_to_its_length() {
    for (start, repeated) in INPUTS {
        let start = start.replace("DATA", "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n");
        let input = |size: usize| {
            let repeated = repeated.repeat(size / repeated.len());
            format!("{start}{repeated}").into_bytes()
        };
        let (small, large) = (input(SIZE), input(SIZE * TIMES as usize));
        for piece in [1, 4096, usize::MAX] {
            let time = |input: &[u8]| cpu::least(3, || run(input, piece)).max(SHORT);
            let (small, large) = (time(&small), time(&large));
            assert!(
                large < small * GROWTH,
                "{repeated:?} in pieces of {piece}: {small:?}, then {large:?}"
            );
        }
    }
}
