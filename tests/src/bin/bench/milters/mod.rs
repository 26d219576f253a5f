//! Milters under load: a no-op of ours, OpenDKIM, and `waxseal run`.

mod processes;
mod rsa;

use std::time::Duration;

use anyhow::Context as _;
use waxseal_testkit::milter::Mail;
use waxseal_testkit::test_dir::TestDir;

use crate::load::{Expected, rate};
use crate::mails::mails;
use crate::rounds::{Speed, medians};
use crate::table::Table;
use crate::units::thousands;
use processes::Milters;

/// Connections, as of a busy mail server.
const CONNECTIONS: usize = 8;

/// Connections while memory is looked at.
const MANY_CONNECTIONS: usize = 64;

/// Length of one measurement.
const TIME: Duration = Duration::from_millis(1000);

/// Times OpenDKIM.
const TIMES_OPENDKIM: f64 = 4.0;

/// Part of what signing alone and the protocol alone allow together.
const OF_THE_POSSIBLE: f64 = 60.0;

/// Messages over TCP, in percent of those over the Unix socket.
const TCP: f64 = 90.0;

/// Most megabytes of memory.
const MEGABYTES: f64 = 60.0;

/// What is measured: a milter with its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Raw signatures, no milter at all.
    Rsa,
    Noop,
    OpenDkim,
    Waxseal,
    WaxsealDisclaimer,
}

const SUBJECTS: [Subject; 5] = [
    Subject::Rsa,
    Subject::Noop,
    Subject::OpenDkim,
    Subject::Waxseal,
    Subject::WaxsealDisclaimer,
];

/// Measures milters.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    let dir = TestDir::claim("bench");
    let milters = Milters::start(&dir).context("starting the milters")?;
    for (size, name) in [(2 << 10, "2 KB"), (50 << 10, "50 KB")] {
        let (bulk, individual) = (mails(size, true), mails(size, false));
        let measured = |tcp: bool| {
            medians(&SUBJECTS, |subject| {
                one(&milters, *subject, tcp, &bulk, &individual)
            })
        };
        table.section(&format!(
            "Messages of {name}, RSA-2048, {CONNECTIONS} connections, Unix socket (messages per second)"
        ));
        let unix = measured(false)?;
        unix_lines(table, &unix);
        table.section(&format!(
            "Messages of {name} over TCP (messages per second)"
        ));
        let tcp = measured(true)?;
        tcp_lines(table, &unix, &tcp);
    }
    memory(table, &milters)
}

fn one(
    milters: &Milters,
    subject: Subject,
    tcp: bool,
    bulk: &[Mail],
    individual: &[Mail],
) -> anyhow::Result<Speed> {
    let (milter, mails, expected) = match subject {
        Subject::Rsa => return rsa::speed(&milters.key, TIME),
        Subject::Noop => (&milters.noop, bulk, Expected::Nothing),
        Subject::OpenDkim => (&milters.opendkim, bulk, Expected::Signature),
        Subject::Waxseal => (&milters.waxseal, bulk, Expected::Signature),
        Subject::WaxsealDisclaimer => (
            &milters.waxseal,
            individual,
            Expected::DisclaimerAndSignature,
        ),
    };
    let endpoint = if tcp { &milter.tcp } else { &milter.unix };
    let before = milter.processor_time()?;
    let rate = rate(endpoint, CONNECTIONS, mails, expected, TIME)?;
    let used = milter.processor_time()?.saturating_sub(before);
    let messages = rate * TIME.as_secs_f64();
    Ok(Speed {
        rate,
        processor: 1e3 * used.as_secs_f64() / messages,
    })
}

fn unix_lines(table: &mut Table, unix: &[Speed]) {
    let &[rsa, noop, opendkim, waxseal, disclaimer] = unix else {
        return;
    };
    let possible = 1.0 / (1.0 / rsa.rate + 1.0 / noop.rate);
    speed(table, "RSA-2048 signatures alone, two threads", rsa);
    speed(table, "no-op milter", noop);
    table.figure("what these two allow together", thousands(possible));
    speed(table, "OpenDKIM", opendkim);
    speed(table, "Waxseal: standard policy, signature", waxseal);
    speed(
        table,
        "Waxseal: and a disclaimer in text and HTML",
        disclaimer,
    );
    let most = format!("{:.2} times", possible / opendkim.rate);
    table.figure("what is possible on this processor by OpenDKIM", most);
    table.at_least(
        "Waxseal by OpenDKIM",
        waxseal.rate / opendkim.rate,
        TIMES_OPENDKIM,
        " times",
    );
    table.at_least(
        "Waxseal by what is possible",
        100.0 * waxseal.rate / possible,
        OF_THE_POSSIBLE,
        " %",
    );
}

fn tcp_lines(table: &mut Table, unix: &[Speed], tcp: &[Speed]) {
    let (&[_, _, _, on_unix, _], &[_, noop, opendkim, waxseal, disclaimer]) = (unix, tcp) else {
        return;
    };
    speed(table, "no-op milter", noop);
    speed(table, "OpenDKIM", opendkim);
    speed(table, "Waxseal: standard policy, signature", waxseal);
    speed(
        table,
        "Waxseal: and a disclaimer in text and HTML",
        disclaimer,
    );
    table.at_least(
        "Waxseal by Waxseal on the Unix socket",
        100.0 * waxseal.rate / on_unix.rate,
        TCP,
        " %",
    );
}

fn speed(table: &mut Table, what: &str, speed: Speed) {
    let what = format!("{what} ({:.2} ms of processor time)", speed.processor);
    table.figure(what, thousands(speed.rate));
}

/// Peak memory while many connections send short messages.
fn memory(table: &mut Table, milters: &Milters) -> anyhow::Result<()> {
    table.section(&format!(
        "Peak memory, {MANY_CONNECTIONS} connections, 2 KB"
    ));
    let mails = mails(2 << 10, true);
    for (what, milter, expected) in [
        ("no-op milter", &milters.noop, Expected::Nothing),
        ("OpenDKIM", &milters.opendkim, Expected::Signature),
        ("Waxseal", &milters.waxseal, Expected::Signature),
    ] {
        let start = milter.peak_memory()?;
        milter.forget_peak()?;
        rate(&milter.unix, MANY_CONNECTIONS, &mails, expected, TIME)?;
        let peak = milter.peak_memory()?;
        if what == "Waxseal" {
            table.figure(
                "Waxseal, while it compiled the policy and up to here",
                format!("{start:.1} MB"),
            );
            table.below(what, peak, MEGABYTES, " MB");
        } else {
            table.figure(what, format!("{peak:.1} MB"));
        }
    }
    Ok(())
}
