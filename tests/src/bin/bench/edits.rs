//! Edits alone, message parsed beforehand.

use std::hint::black_box;
use std::time::{Duration, Instant};

use waxseal::decision::{Disclaimer, Placement};
use waxseal::edit::{Context, Outcome, Settings, UneditableAction, insert};
use waxseal::message::Content;

use crate::mails::mail;
use crate::table::Table;
use crate::units::{micros, quantile};

/// How long one edit is repeated.
const TIME: Duration = Duration::from_millis(1000);

/// Longest median for 50 KB, in microseconds.
const TARGET: f64 = 150.0;

/// Measures edits.
pub(crate) fn measure(table: &mut Table) {
    table.section("Edits, one thread (median)");
    let disclaimer = Disclaimer {
        id: "bench".to_owned(),
        text: "This message is confidential.".to_owned(),
        html: Some("<p>This message is <b>confidential</b>.</p>".to_owned()),
        placement: Placement::Bottom,
    };
    for (what, size, target) in [
        ("a disclaimer into text and HTML, 2 KB", 2 << 10, None),
        (
            "a disclaimer into text and HTML, 50 KB",
            50 << 10,
            Some(TARGET),
        ),
        ("a disclaimer into text and HTML, 5 MB", 5 << 20, None),
    ] {
        let content = Content::new(mail(size, 0, false).bytes());
        let median = micros(time(&content, &disclaimer));
        match target {
            Some(target) => table.below(what, median, target, " µs"),
            None => table.figure(what, format!("{median:.1} µs")),
        }
    }
}

fn time(content: &Content, disclaimer: &Disclaimer) -> Duration {
    let context = Context {
        null_sender: false,
        settings: Settings {
            uneditable: UneditableAction::Leave,
            encrypted: UneditableAction::Leave,
            replies: true,
            lists: false,
        },
    };
    let mut times = Vec::new();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let started = Instant::now();
        let insertion = black_box(insert(content, &context, std::slice::from_ref(disclaimer)));
        times.push(started.elapsed());
        assert_eq!(insertion.reports[0].outcome, Outcome::Inserted);
    }
    times.sort_unstable();
    quantile(&times, 0.5)
}
