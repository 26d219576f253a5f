//! Load as Postfix makes it: several connections, each with one message after
//! the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use waxseal_testkit::milter::{Client, Mail, MtaProfile};

/// Where a milter listens.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// A socket file.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

impl Endpoint {
    /// Connects as a Postfix that a logged-in user sends through.
    pub(crate) fn connect(&self) -> std::io::Result<Client> {
        match self {
            Self::Unix(path) => Client::unix(path, profile()),
            Self::Tcp(address) => Client::tcp(*address, profile()),
        }
    }
}

/// Postfix 3.7, with the macros that it sends ahead of every command by itself.
fn profile() -> MtaProfile {
    let mut profile = MtaProfile::postfix_with_login("alice");
    profile
        .macros
        .retain(|(stage, _)| *stage != b'T' && *stage != b'E');
    for stage in *b"TLNBE" {
        profile
            .macros
            .push((stage, vec![("i".to_owned(), "4F00D1234567".to_owned())]));
    }
    profile
}

/// What a milter has to do to each message, so that no figure is of one that did
/// not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing.
    Nothing,
    /// Insert a signature.
    Signature,
    /// Replace the body, and insert a signature.
    DisclaimerAndSignature,
}

impl Expected {
    fn check(self, replies: &[waxseal_testkit::milter::Reply]) -> anyhow::Result<()> {
        let has = |name: u8| replies.iter().any(|reply| reply.name == name);
        let accepted = replies
            .last()
            .is_some_and(|reply| matches!(reply.name, b'a' | b'c'));
        let signed = replies.iter().any(|reply| {
            matches!(reply.name, b'h' | b'i') && reply.text().contains("DKIM-Signature|")
        });
        let done = match self {
            Self::Nothing => true,
            Self::Signature => signed,
            Self::DisclaimerAndSignature => signed && has(b'b'),
        };
        ensure!(
            accepted && done,
            "{self:?} was expected, and these were the replies: {replies:?}"
        );
        Ok(())
    }
}

/// Messages per second over that many connections.
pub(crate) fn rate(
    endpoint: &Endpoint,
    connections: usize,
    mails: &[Mail],
    expected: Expected,
    time: Duration,
) -> anyhow::Result<f64> {
    let barrier = Barrier::new(connections);
    let sent = thread::scope(|scope| {
        let sender = |number: usize| {
            let barrier = &barrier;
            move || send(endpoint, number, mails, expected, time, barrier)
        };
        let senders: Vec<_> = (0..connections)
            .map(|number| scope.spawn(sender(number)))
            .collect();
        let rates = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"));
        rates.sum::<anyhow::Result<f64>>()
    });
    sent.with_context(|| format!("load on {endpoint:?}"))
}

/// One connection: how many messages it got through in a second.
fn send(
    endpoint: &Endpoint,
    number: usize,
    mails: &[Mail],
    expected: Expected,
    time: Duration,
    barrier: &Barrier,
) -> anyhow::Result<f64> {
    let opened = endpoint.connect().and_then(|mut client| {
        client.greet()?;
        Ok(client)
    });
    // A client that could not connect does not delay the others.
    barrier.wait();
    let mut client = opened?;
    let started = Instant::now();
    let mut sent = 0;
    while started.elapsed() < time {
        if sent > 0 {
            // Postfix gives up the old message with the first command of the next.
            client.put(b'A', b"");
        }
        let replies = client.send(&mails[(number + sent) % mails.len()])?;
        expected.check(&replies)?;
        sent += 1;
    }
    let rate = sent as f64 / started.elapsed().as_secs_f64();
    client.command_without_reply(b'Q')?;
    Ok(rate)
}
