//! What holds when any bytes are edited as a message. Shared by the fuzz target
//! and by the test that replays its corpus.

use waxseal::decision::{Disclaimer, Placement};
use waxseal::edit::{Closed, Context, Edits, Outcome, Settings, Transport, insert, prepare};
use waxseal::message::Content;

/// Edits one message. The first byte chooses placement, script and wrapping; the
/// rest is the message.
///
/// # Panics
///
/// When an edit broke its promise.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, message)) = data.split_first() else {
        return;
    };
    let placement = match choice % 3 {
        0 => Placement::Top,
        1 => Placement::AboveQuote,
        _ => Placement::Bottom,
    };
    let text = if choice & 4 == 0 {
        "Confidential, Acme Ltd."
    } else {
        "社外秘の情報が含まれています"
    };
    let notice = Disclaimer {
        id: "fuzz".into(),
        text: text.into(),
        html: None,
        placement,
    };
    let closed = if choice & 8 == 0 {
        Closed::Leave
    } else {
        Closed::Wrap
    };
    let settings = Settings {
        closed,
        encrypted: closed,
        ..Settings::default()
    };
    let content = Content::new(message.to_vec());
    let made = insert(
        &content,
        &Context {
            null_sender: false,
            settings,
        },
        &[notice],
    );
    if made.notices[0].outcome == Outcome::Skipped {
        assert!(
            made.body.is_none() && made.headers.is_empty(),
            "skipped, but edited"
        );
    }
    let edits = Edits {
        headers: made.headers,
        body: made.body,
        ..Edits::default()
    };
    let after = Content::new(edits.apply(&content));
    if made.notices[0].outcome == Outcome::Inserted {
        let files = |content: &Content| {
            let leaves = content
                .structure()
                .parts()
                .iter()
                .filter(|part| part.children().is_empty() && !part.is_text());
            leaves
                .map(|part| content.body()[part.body()].to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            files(&content),
            files(&after),
            "a part that is no text changed"
        );
    }
    prepare(
        &after,
        Transport {
            seven_bit: true,
            signed: true,
        },
    );
}
