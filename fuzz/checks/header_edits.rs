//! A policy's header changes on a sender's header.

use jiff::Timestamp;
use waxseal::decision::{AuthorRewrite, Decision, HeaderChange, HeaderField, Mailbox, validate};
use waxseal::edit::{Edits, HeaderEdit, Stamp, header_edits};
use waxseal::message::{Address, Content};
use waxseal::message::{ROUTE_FIELD, SPLIT_FIELD};

use crate::cost::Cost;
use crate::input::Input;

const STAMP: Stamp<'_> = Stamp {
    hostname: "mail.acme.test",
    arrival: Timestamp::constant(1_800_000_000, 0),
    queue_id: "4Xy/1",
};

/// The changes are before the empty line, one per line; the message is after it.
pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let (changes, message) = input.halves();
    let changes = String::from_utf8_lossy(&changes);
    let decision = decision(&changes);
    if validate(&decision).is_err() {
        return;
    }
    let content = Content::new(message);
    let size = content.bytes().len() + changes.len();
    let edits = Edits {
        headers: Cost::MANY_PASSES.hold("header edits", size, || {
            header_edits(&content, &decision, &STAMP)
        }),
        ..Edits::default()
    };
    let after = Cost::PASSES.hold("applying edits", size, || edits.apply(&content));
    let after = Content::new(after);
    assert_eq!(
        after.body(),
        content.body(),
        "a header edit changed the body"
    );
    assert_eq!(
        after.fields().len(),
        expected_fields(&content, &edits.headers),
        "a field in a value"
    );
    for ours in [ROUTE_FIELD, SPLIT_FIELD] {
        assert_eq!(after.count_named(ours), 0, "{ours} from outside");
    }
    for required in ["Date", "Message-ID"] {
        assert!(after.count_named(required) > 0, "no {required}");
    }
    lines_are_short(&edits.headers);
    values_are_what_was_asked(&decision, &after);
}

/// `+Name: value`, `=Name: value`, `-Name`, `<address> name` for another author,
/// and `s value` for a sender.
fn decision(text: &str) -> Decision {
    let mut decision = Decision::default();
    for line in text.split('\n') {
        let mut characters = line.chars();
        let kind = characters.next();
        let rest = characters.as_str();
        let field = || {
            let (name, value) = rest.split_once(':').unwrap_or((rest, ""));
            HeaderField {
                name: name.to_owned(),
                value: value.to_owned(),
            }
        };
        match kind {
            Some('+') => decision.headers.push(HeaderChange::Add(field())),
            Some('=') => decision.headers.push(HeaderChange::Replace(field())),
            Some('-') => decision.headers.push(HeaderChange::Remove(rest.to_owned())),
            Some('s') => decision.sender = Some(rest.to_owned()),
            Some('<') => {
                let (address, name) = rest.split_once('>').unwrap_or((rest, ""));
                decision.author = Address::parse(address).ok().map(|address| AuthorRewrite {
                    mailbox: Mailbox {
                        name: (!name.is_empty()).then(|| name.to_owned()),
                        address,
                    },
                    keep_in_name: name.len() % 2 == 1,
                    reply_to: true,
                });
            }
            _ => {}
        }
    }
    decision
}

/// Number of fields after all edits.
fn expected_fields(content: &Content, edits: &[HeaderEdit]) -> usize {
    edits
        .iter()
        .fold(content.fields().len(), |fields, edit| match edit {
            HeaderEdit::Prepend { .. } | HeaderEdit::Append { .. } => fields + 1,
            HeaderEdit::Replace { .. } => fields,
            HeaderEdit::Remove { .. } => fields - 1,
        })
}

/// Checks that no value has a line over 998 bytes, or a line end that is not a fold.
fn lines_are_short(edits: &[HeaderEdit]) {
    for edit in edits {
        let (HeaderEdit::Prepend { name, value }
        | HeaderEdit::Append { name, value }
        | HeaderEdit::Replace { name, value, .. }) = edit
        else {
            continue;
        };
        let text = String::from_utf8_lossy(value);
        for (index, line) in text.split("\r\n").enumerate() {
            let name = if index == 0 { name.len() + 1 } else { 0 };
            assert!(name + line.len() <= 998, "a line of {} bytes", line.len());
            assert!(
                !line.contains(['\r', '\n', '\0']),
                "a lone line end in {line:?}"
            );
            assert!(
                index == 0 || line.starts_with([' ', '\t']),
                "a line end without fold"
            );
            assert!(
                index == 0 || !line.trim().is_empty(),
                "a fold of white space alone"
            );
        }
    }
}

/// Checks that the last change of a field that no other change names is effective.
fn values_are_what_was_asked(decision: &Decision, after: &Content) {
    let name_of = |change: &HeaderChange| match change {
        HeaderChange::Add(field) | HeaderChange::Replace(field) => field.name.clone(),
        HeaderChange::Remove(name) => name.clone(),
    };
    let rewritten = ["From", "Sender", "Reply-To", "Date", "Message-ID"];
    for (index, change) in decision.headers.iter().enumerate() {
        let name = name_of(change);
        let is_same = |other: &str| other.eq_ignore_ascii_case(&name);
        let later = decision.headers[index + 1..].iter();
        if later.map(name_of).any(|other| is_same(&other)) || rewritten.iter().any(|r| is_same(r)) {
            continue;
        }
        match change {
            HeaderChange::Remove(_) => assert_eq!(after.count_named(&name), 0, "{name} is left"),
            HeaderChange::Replace(field) => {
                assert_eq!(after.count_named(&name), 1, "several {name}");
                is_shown(&field.value, &after.header(&name));
            }
            HeaderChange::Add(field) => is_shown(&field.value, &after.header(&name)),
        }
    }
}

/// Checks that a value decodes to the requested one, except for white space. Values that already look encoded are not checked,
/// and lists of mailboxes are written again.
fn is_shown(wanted: &str, values: &[String]) {
    let bare = |text: &str| -> String {
        let keep = |c: &char| !c.is_whitespace() && !c.is_control();
        text.chars().filter(keep).collect()
    };
    let found = values.last().map(String::as_str).unwrap_or_default();
    if wanted.contains("=?") || wanted.contains(['@', '<', '"', ',', ';', ':', '(']) {
        return;
    }
    assert_eq!(bare(found), bare(wanted), "the value is read differently");
}
