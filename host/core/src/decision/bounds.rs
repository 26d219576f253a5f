//! Limits on the texts and lists of a decision.
//!
//! Everything that a policy returns is logged, stored, counted or sent, so each item costs something for each
//! message. Text for people is truncated ([`shorten`]); values with an effect are rejected if they are too long or
//! too many (`check`), because a truncated value would have another effect. `wit/policy.wit` documents each number
//! at its item.

use super::error::InvalidDecision;
use super::types::{Decision, HeaderChange, Verdict, is_host_counter};
use crate::printable::cut;

/// Relays of a route. Each one whose limit is reached costs a lookup of its counter.
pub const RELAYS: usize = 32;

/// Counters that one message is charged to. Each may cost a write to the store; the standard policy charges five.
pub const CHARGES: usize = 32;

/// Domains that one message is signed for. An RSA signature takes a millisecond of processor time.
pub const SIGNING_DOMAINS: usize = 16;

/// Disclaimers of one message. Each is inserted into each form of the text.
pub const DISCLAIMERS: usize = 16;

/// Header changes. Each is a reply to the MTA, which scans its queue file for it.
pub const HEADER_CHANGES: usize = 64;

/// Copies of one message: each is an additional recipient.
pub const COPIES: usize = 64;

/// Labels that are retained: each is part of a metric's name.
pub const LABELS: usize = 32;

/// Reasons that are retained; they are logged on one line.
pub const REASONS: usize = 32;

/// Bytes of a counter's name, which is printable ASCII without blanks. `domain/` and nearly the longest domain name
/// fit; it is the key of a row in the store.
pub const COUNTER: usize = 200;

/// Bytes of a relay's name. Names of relays in `waxseal.toml` have at most 32.
pub const RELAY: usize = 32;

/// Bytes of a reply's text: it fits into a few reply lines of 512 bytes (RFC 5321, section 4.5.3.1.5).
pub const REPLY: usize = 2000;

/// Bytes of a header field's name: it fits on a line of 78 with its colon and a blank.
pub const FIELD_NAME: usize = 76;

/// Bytes of a header field's value. Postfix limits a field to 100 KiB (`header_size_limit`); eight lines of maximum
/// length (RFC 5322, section 2.1.1) are enough for all real fields.
pub const FIELD_VALUE: usize = 8000;

/// Bytes of an author's display name.
pub const AUTHOR_NAME: usize = 500;

/// Bytes of a disclaimer's name. It is searched for in the thread.
pub const DISCLAIMER_ID: usize = 100;

/// Bytes of a disclaimer's text: about four pages.
pub const DISCLAIMER_TEXT: usize = 16 << 10;

/// Bytes of its HTML form: the same text with markup and styles.
pub const DISCLAIMER_HTML: usize = 64 << 10;

/// Bytes of a label's name that are retained.
pub const LABEL_NAME: usize = 64;

/// Bytes of a label's value that are retained.
pub const LABEL_VALUE: usize = 200;

/// Bytes of a reason that are retained: a long sentence.
pub const REASON: usize = 500;

/// Bytes of the reason of a hold that are retained; the MTA logs it.
pub const HOLD: usize = 500;

/// Bytes of a policy's text that an error quotes.
const QUOTED: usize = 100;

/// Truncates text for people; the rest is replaced by `…`.
pub fn shorten(decision: &mut Decision) {
    let shorten = |text: &mut String, bytes: usize| {
        if text.len() > bytes {
            *text = cut(text, bytes).into_owned();
        }
    };
    if let Verdict::Hold(why) = &mut decision.verdict {
        shorten(why, HOLD);
    }
    decision.labels.truncate(LABELS);
    for label in &mut decision.labels {
        shorten(&mut label.name, LABEL_NAME);
        shorten(&mut label.value, LABEL_VALUE);
    }
    let reasons = decision.reasons.len();
    if reasons > REASONS {
        decision.reasons.truncate(REASONS - 1);
        let more = reasons - decision.reasons.len();
        decision.reasons.push(format!("… and {more} more reasons"));
    }
    for reason in &mut decision.reasons {
        shorten(reason, REASON);
    }
}

/// A policy's text, truncated for an error.
pub(super) fn quoted(text: &str) -> String {
    cut(text, QUOTED).into_owned()
}

/// Checks the limits of values with an effect.
///
/// # Errors
///
/// The first list that has too many entries, or text that is too long.
pub(super) fn check(decision: &Decision) -> Result<(), InvalidDecision> {
    count("relays", decision.route.len(), RELAYS)?;
    count("charges", decision.charges.len(), CHARGES)?;
    count("signing domains", decision.sign.len(), SIGNING_DOMAINS)?;
    count("disclaimers", decision.disclaimers.len(), DISCLAIMERS)?;
    count("header changes", decision.headers.len(), HEADER_CHANGES)?;
    count("copies", decision.copies.len(), COPIES)?;
    for hop in &decision.route {
        length("the relay name", &hop.relay, RELAY)?;
    }
    for charge in &decision.charges {
        counter(&charge.counter)?;
    }
    if let Verdict::Reject(reply) | Verdict::Defer(reply) = &decision.verdict {
        length("the reply text", &reply.text, REPLY)?;
    }
    for change in &decision.headers {
        match change {
            HeaderChange::Add(field) | HeaderChange::Replace(field) => {
                length("the header field name", &field.name, FIELD_NAME)?;
                length(
                    &format!("the value of header field {}", quoted(&field.name)),
                    &field.value,
                    FIELD_VALUE,
                )?;
            }
            HeaderChange::Remove(name) => length("the header field name", name, FIELD_NAME)?,
        }
    }
    if let Some(sender) = &decision.sender {
        length("the value of header field Sender", sender, FIELD_VALUE)?;
    }
    if let Some(name) = decision
        .author
        .as_ref()
        .and_then(|author| author.mailbox.name.as_ref())
    {
        length("the author's display name", name, AUTHOR_NAME)?;
    }
    for disclaimer in &decision.disclaimers {
        length("the disclaimer name", &disclaimer.id, DISCLAIMER_ID)?;
        length(
            &format!("the text of disclaimer {}", disclaimer.id),
            &disclaimer.text,
            DISCLAIMER_TEXT,
        )?;
        if let Some(html) = &disclaimer.html {
            length(
                &format!("the HTML of disclaimer {}", disclaimer.id),
                html,
                DISCLAIMER_HTML,
            )?;
        }
    }
    Ok(())
}

fn count(what: &'static str, count: usize, limit: usize) -> Result<(), InvalidDecision> {
    match count > limit {
        true => Err(InvalidDecision::TooMany { what, count, limit }),
        false => Ok(()),
    }
}

fn length(what: &str, text: &str, limit: usize) -> Result<(), InvalidDecision> {
    match text.len() > limit {
        true => Err(InvalidDecision::TooLong {
            what: what.to_owned(),
            bytes: text.len(),
            limit,
        }),
        false => Ok(()),
    }
}

fn counter(name: &str) -> Result<(), InvalidDecision> {
    length("the counter name", name, COUNTER)?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidDecision::Counter(name.to_owned()));
    }
    if is_host_counter(name) {
        return Err(InvalidDecision::HostCounter(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{
        AuthorRewrite, Charge, Disclaimer, HeaderField, Hop, Mailbox, Placement, Reply,
        ReturnPathChoice, Unit, WhenFull, validate,
    };

    fn with(change: impl FnOnce(&mut Decision)) -> Result<(), InvalidDecision> {
        let mut decision = Decision::default();
        change(&mut decision);
        validate(&decision)
    }

    fn charge(counter: &str) -> Charge {
        Charge {
            counter: counter.to_owned(),
            unit: Unit::Message,
            maximum: None,
            full: WhenFull::Defer,
        }
    }

    fn field(name: usize, value: usize) -> HeaderChange {
        HeaderChange::Add(HeaderField {
            name: "x".repeat(name),
            value: "y".repeat(value),
        })
    }

    fn disclaimer(id: usize, text: usize, html: usize) -> Disclaimer {
        Disclaimer {
            id: "i".repeat(id),
            text: "t".repeat(text),
            html: Some("h".repeat(html)),
            placement: Placement::Bottom,
        }
    }

    fn author(name: usize) -> AuthorRewrite {
        AuthorRewrite {
            mailbox: Mailbox {
                name: Some("n".repeat(name)),
                address: "a@acme.test".parse().expect("an address"),
            },
            keep_in_name: false,
            reply_to: false,
        }
    }

    fn reply(text: usize) -> Verdict {
        Verdict::Reject(Reply {
            code: 550,
            enhanced: "5.7.1".to_owned(),
            text: "t".repeat(text),
        })
    }

    #[test]
    fn m6_counter_names_are_short_printable_and_not_reserved() {
        let named = |name: &str| with(|decision| decision.charges.push(charge(name)));
        for good in [
            "a",
            "user/ann@acme.test",
            "relays/north",
            &"n".repeat(COUNTER),
        ] {
            assert_eq!(named(good), Ok(()), "{good}");
        }
        let error = named(&"n".repeat(COUNTER + 1)).expect_err("too long");
        let too_long = InvalidDecision::TooLong {
            what: "the counter name".to_owned(),
            bytes: 201,
            limit: 200,
        };
        assert_eq!(error, too_long);
        for bad in [
            "",
            "two words",
            "line\nend",
            "\u{1b}[31m",
            "müller",
            "a\u{7f}",
        ] {
            assert_eq!(named(bad), Err(InvalidDecision::Counter(bad.to_owned())));
        }
        for own in ["relay/north", "relay/", "default-route"] {
            assert_eq!(
                named(own),
                Err(InvalidDecision::HostCounter(own.to_owned()))
            );
        }
    }

    /// Each limit is allowed, one more is rejected; the error has the numbers.
    #[test]
    fn m6_every_text_and_list_with_an_effect_has_a_limit() {
        type Set = fn(&mut Decision, usize);
        let rows: [(usize, Set); 14] = [
            (RELAYS, |d, n| {
                d.route = vec![
                    Hop {
                        relay: "north".into(),
                        return_path: None
                    };
                    n
                ]
            }),
            (CHARGES, |d, n| {
                d.charges = (0..n).map(|n| charge(&n.to_string())).collect()
            }),
            (SIGNING_DOMAINS, |d, n| d.sign = vec!["acme.test".into(); n]),
            (DISCLAIMERS, |d, n| {
                d.disclaimers = vec![disclaimer(1, 1, 1); n]
            }),
            (HEADER_CHANGES, |d, n| d.headers = vec![field(1, 1); n]),
            (COPIES, |d, n| {
                d.copies = vec!["a@acme.test".parse().expect("an address"); n]
            }),
            (RELAY, |d, n| {
                d.route = vec![Hop {
                    relay: "n".repeat(n),
                    return_path: None,
                }]
            }),
            (REPLY, |d, n| d.verdict = reply(n)),
            (FIELD_NAME, |d, n| d.headers = vec![field(n, 1)]),
            (FIELD_VALUE, |d, n| d.headers = vec![field(1, n)]),
            (AUTHOR_NAME, |d, n| d.author = Some(author(n))),
            (DISCLAIMER_ID, |d, n| {
                d.disclaimers = vec![disclaimer(n, 1, 1)]
            }),
            (DISCLAIMER_TEXT, |d, n| {
                d.disclaimers = vec![disclaimer(1, n, 1)]
            }),
            (DISCLAIMER_HTML, |d, n| {
                d.disclaimers = vec![disclaimer(1, 1, n)]
            }),
        ];
        for (limit, set) in rows {
            assert_eq!(with(|decision| set(decision, limit)), Ok(()), "{limit}");
            let error = with(|decision| set(decision, limit + 1)).expect_err("one more");
            let (found, allowed) = match error {
                InvalidDecision::TooMany { count, limit, .. } => (count, limit),
                InvalidDecision::TooLong { bytes, limit, .. } => (bytes, limit),
                other => panic!("{other}"),
            };
            assert_eq!((found, allowed), (limit + 1, limit));
        }
        let sender = with(|decision| decision.sender = Some("s".repeat(FIELD_VALUE + 1)));
        assert!(matches!(
            sender,
            Err(InvalidDecision::TooLong {
                bytes: 8001,
                limit: FIELD_VALUE,
                ..
            })
        ));
    }

    #[test]
    fn m8_text_for_people_is_truncated_and_marked() {
        let long = "ü".repeat(10_000);
        let label = HeaderField {
            name: long.clone(),
            value: long.clone(),
        };
        let mut decision = Decision {
            verdict: Verdict::Hold(long.clone()),
            labels: vec![label; 1000],
            reasons: vec![long; 10_000],
            ..Decision::default()
        };
        shorten(&mut decision);
        let cut = |text: &str, bytes: usize| text.len() <= bytes && text.ends_with('…');
        assert!(matches!(&decision.verdict, Verdict::Hold(why) if cut(why, HOLD)));
        assert_eq!(decision.labels.len(), LABELS);
        assert!(
            decision
                .labels
                .iter()
                .all(|it| cut(&it.name, LABEL_NAME) && cut(&it.value, LABEL_VALUE))
        );
        assert_eq!(decision.reasons.len(), REASONS);
        assert!(
            decision.reasons[..REASONS - 1]
                .iter()
                .all(|reason| cut(reason, REASON))
        );
        assert_eq!(decision.reasons[REASONS - 1], "… and 9969 more reasons");
        let before = decision.clone();
        shorten(&mut decision);
        assert_eq!(decision, before, "once is enough");
        assert_eq!(validate(&decision), Ok(()));
    }

    /// An error quotes only the beginning of what was returned.
    #[test]
    fn m8_an_error_about_a_decision_is_short() {
        let long = "d.".repeat(100_000);
        let errors = [
            with(|decision| decision.sign.push(long.clone())),
            with(|decision| decision.return_path = ReturnPathChoice::Verp(long.clone())),
            with(|decision| {
                decision.verdict = Verdict::Reject(Reply {
                    code: 550,
                    enhanced: long.clone(),
                    text: String::new(),
                });
            }),
            with(|decision| decision.headers.push(HeaderChange::Remove(long.clone()))),
        ];
        for error in errors {
            let error = error.expect_err("refused").to_string();
            assert!(error.len() < 300, "{} bytes", error.len());
        }
    }
}
