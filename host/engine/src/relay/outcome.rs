//! The outcome of one attempt to give a message to a relay: what happens to each
//! recipient, and what the attempt says about the health of the relay.
//!
//! | what the relay does | recipients | health |
//! | --- | --- | --- |
//! | refuses, times out or breaks off before the final dot; TLS or login fails | next relay | failure of its class |
//! | 4xx or 5xx after the final dot | next relay; 5xx: bounce, as set | failure "refused"; none if they bounce |
//! | 4xx or 5xx for one recipient | deferred, or bounces | none |
//! | 5.7.x or "relay access denied" for every recipient | next relay | failure "not allowed" (or "login") |
//! | 4.3.x or 5.3.x for every recipient: its system has a problem | next relay | failure "refused" |
//! | silent or gone after the final dot, or an answer that is not SMTP | in doubt | none |
//! | lacks an extension, or the message is too large for it | next relay | none |
//!
//! Beyond that table: 5.7.x or "relay access denied" for some recipients, while others
//! are accepted, sends these by the next relay. It may well relay to them, and a
//! relay that serves some domains only is no failure. So do 5.3.x and 5.5.x for a
//! recipient: they are about the relay, not about the recipient.

use super::failure::{Cause, Failure, SmtpReply, Stage, denies_relaying};
use super::health::Report;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The relay took the message, with this reply.
    Accepted(SmtpReply),
    /// The relay accepted no recipient, so that no message was sent.
    NoRecipients,
    /// It failed.
    Failed(Failure),
    /// The relay lacks what this message needs. No message was sent.
    CannotCarry(Missing),
}

/// What a relay lacks for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// SMTPUTF8 (RFC 6531).
    SmtpUtf8,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// The message is larger than it accepts (RFC 1870).
    Size,
}

/// What a relay did with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The replies to RCPT TO, in the order of the recipients. Missing ones at the
    /// end had no reply.
    pub recipients: Vec<SmtpReply>,
    /// How it ended.
    pub end: End,
}

/// What to do when a relay refuses the content for good (5xx after the final dot).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentRefused {
    /// Try the next relay; it is a failure of this one.
    #[default]
    NextRelay,
    /// The recipients bounce; it is no failure of the relay.
    Bounce,
}

/// What happens to one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientOutcome {
    /// The relay took the message for it.
    Taken,
    /// Another relay is tried, and then the default route.
    NextRelay,
    /// It bounces (5xx).
    Bounce,
    /// The MTA tries it again later (4xx).
    Defer,
    /// The relay may or may not have taken it. The MTA tries it again later, and that
    /// is logged: the recipient can get the message twice (R6).
    InDoubt,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// What happens to each recipient, in their order.
    pub recipients: Vec<RecipientOutcome>,
    /// What to report to the [health](super::health) of the relay.
    pub health: Report,
}

impl AttemptOutcome {
    /// Whether the charge of the relay stays: it took the message, or may have.
    pub fn keeps_charge(&self) -> bool {
        let charged = |outcome: &RecipientOutcome| {
            matches!(outcome, RecipientOutcome::Taken | RecipientOutcome::InDoubt)
        };
        self.recipients.iter().any(charged)
    }
}

/// Classifies an attempt for a message with this number of recipients.
pub fn classify(
    attempt: &Attempt,
    recipients: usize,
    content_refused: ContentRefused,
) -> AttemptOutcome {
    // More replies than recipients are a mistake of the caller.
    let replies = &attempt.recipients[..attempt.recipients.len().min(recipients)];
    let next = |health| AttemptOutcome {
        recipients: vec![RecipientOutcome::NextRelay; recipients],
        health,
    };
    match &attempt.end {
        End::CannotCarry(_) => next(Report::Neutral),
        // Without a transaction, replies to recipients mean nothing: those that were
        // pipelined behind a refused MAIL are `503 5.5.1`.
        End::Failed(failure) if failure.stage <= Stage::Recipient => {
            next(match is_cannot_carry(failure) {
                true => Report::Neutral,
                false => Report::Failed(failure.clone()),
            })
        }
        End::Failed(failure) if is_cannot_carry(failure) => AttemptOutcome {
            recipients: outcomes(replies, recipients, RecipientOutcome::NextRelay),
            health: Report::Neutral,
        },
        End::Failed(failure) => {
            let (accepted, health) = after_recipients(failure, content_refused);
            AttemptOutcome {
                recipients: outcomes(replies, recipients, accepted),
                health,
            }
        }
        End::NoRecipients => match refused_all(replies, recipients) {
            Some(failure) => next(Report::Failed(failure)),
            None => AttemptOutcome {
                // Without a reply, and not accepted: no statement about it.
                recipients: outcomes(replies, recipients, RecipientOutcome::NextRelay),
                health: Report::Neutral,
            },
        },
        End::Accepted(_) => {
            let recipients = outcomes(replies, recipients, RecipientOutcome::Taken);
            AttemptOutcome {
                health: match recipients.contains(&RecipientOutcome::Taken) {
                    true => Report::Accepted,
                    false => Report::Neutral,
                },
                recipients,
            }
        }
    }
}

/// What happens to accepted recipients when a failure follows, and what it says about
/// the relay.
fn after_recipients(
    failure: &Failure,
    content_refused: ContentRefused,
) -> (RecipientOutcome, Report) {
    match (failure.stage, failure.reply()) {
        // A relay must not deliver a message whose final dot it has not seen. After
        // that, only a reply says that it was not taken.
        (Stage::End, None) => (RecipientOutcome::InDoubt, Report::Neutral),
        (Stage::End, Some(reply)) if reply.is_positive() => {
            // 3xx, or a success that the caller took for a failure.
            (RecipientOutcome::InDoubt, Report::Neutral)
        }
        (Stage::End, Some(reply))
            if reply.is_permanent() && content_refused == ContentRefused::Bounce =>
        {
            (RecipientOutcome::Bounce, Report::Neutral)
        }
        _ => (RecipientOutcome::NextRelay, Report::Failed(failure.clone())),
    }
}

/// The outcome of each recipient, if accepted ones have the outcome `accepted`.
fn outcomes(
    replies: &[SmtpReply],
    recipients: usize,
    accepted: RecipientOutcome,
) -> Vec<RecipientOutcome> {
    let outcome = |reply: &SmtpReply| match reply {
        reply if reply.is_positive() => accepted,
        reply if denies_relaying(reply) || is_about_relay(reply) => RecipientOutcome::NextRelay,
        reply if reply.is_permanent() => RecipientOutcome::Bounce,
        _ => RecipientOutcome::Defer,
    };
    let mut outcomes: Vec<RecipientOutcome> = replies.iter().map(outcome).collect();
    outcomes.resize(recipients, RecipientOutcome::NextRelay);
    outcomes
}

/// The failure of a relay that refuses every recipient for a reason of its own:
/// this server may not relay there, or its system has a problem.
fn refused_all(replies: &[SmtpReply], recipients: usize) -> Option<Failure> {
    let first = replies.first()?;
    let all = |is: fn(&SmtpReply) -> bool| replies.len() == recipients && replies.iter().all(is);
    let shuts_down = replies.iter().find(|reply| reply.code == 421);
    let reply = match shuts_down {
        Some(reply) => reply,
        None if all(denies_relaying) || all(has_system_problem) => first,
        None => return None,
    };
    Some(Failure::new(Stage::Recipient, Cause::Reply(reply.clone())))
}

/// Whether a refusal is about the system of the relay (4.3.x, 5.3.x), and neither about
/// the recipient nor about this message (5.3.4, too large).
fn has_system_problem(reply: &SmtpReply) -> bool {
    !reply.is_positive() && matches!(reply.detail(), Some((3, detail)) if detail != 4)
}

/// Whether a refusal for good is about the relay's system, its size limit (5.3.x) or
/// the protocol (5.5.x): no reason to return the message to its sender.
fn is_about_relay(reply: &SmtpReply) -> bool {
    reply.is_permanent() && matches!(reply.detail(), Some((3 | 5, _)))
}

/// Whether a relay refuses for what this message is, which another relay may carry:
/// too large (5.3.4), not convertible (5.6.3), with addresses in UTF-8 (5.6.7).
fn is_cannot_carry(failure: &Failure) -> bool {
    let refused = failure.reply().filter(|reply| reply.is_permanent());
    refused.is_some_and(|reply| matches!(reply.detail(), Some((3, 4) | (6, 3 | 7))))
        && failure.stage >= Stage::Mail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::failure::{FailureClass, TlsProblem};
    use super::RecipientOutcome::*;
    use super::*;

    fn reply(text: &str) -> SmtpReply {
        let (code, rest) = text.split_once(' ').expect("code and text");
        let numbers: Option<Vec<u16>> = rest.split_once(' ').and_then(|(enhanced, _)| {
            enhanced
                .split('.')
                .map(|number| number.parse().ok())
                .collect()
        });
        let enhanced = match numbers.as_deref() {
            Some([a, b, c]) => Some((*a, *b, *c)),
            _ => None,
        };
        let text = match enhanced {
            Some(_) => rest.split_once(' ').expect("text").1,
            None => rest,
        };
        SmtpReply::new(code.parse().expect("code"), enhanced, text)
    }

    fn run(recipients: &[&str], end: End) -> AttemptOutcome {
        run_with(recipients, end, ContentRefused::NextRelay)
    }

    fn run_with(recipients: &[&str], end: End, content_refused: ContentRefused) -> AttemptOutcome {
        let attempt = Attempt {
            recipients: recipients.iter().map(|text| reply(text)).collect(),
            end,
        };
        classify(&attempt, recipients.len(), content_refused)
    }

    fn accepted() -> End {
        End::Accepted(reply("250 2.0.0 queued"))
    }

    fn failed(stage: Stage, cause: Cause) -> End {
        End::Failed(Failure::new(stage, cause))
    }

    fn refused(stage: Stage, text: &str) -> End {
        failed(stage, Cause::Reply(reply(text)))
    }

    fn class(outcome: &AttemptOutcome) -> Option<FailureClass> {
        match &outcome.health {
            Report::Failed(failure) => Some(failure.class()),
            _ => None,
        }
    }

    const OK: &str = "250 2.1.5 Ok";
    const UNKNOWN: &str = "550 5.1.1 no such user";
    const GREYLISTED: &str = "450 4.7.1 greylisted";
    const DENIED: &str = "554 5.7.1 Relay access denied";

    #[test]
    fn r6_a_relay_that_fails_before_the_recipients_is_followed_by_the_next() {
        use FailureClass::*;
        let ends = [
            (failed(Stage::Connect, Cause::ConnectionRefused), Connection),
            (failed(Stage::Greeting, Cause::TimedOut), Connection),
            (failed(Stage::Ehlo, Cause::Lost), Connection),
            (failed(Stage::Tls, Cause::Tls(TlsProblem::SelfSigned)), Tls),
            (refused(Stage::Login, "535 5.7.8 bad"), Login),
            (refused(Stage::Ehlo, "550 5.7.1 go away"), NotAllowed),
            (refused(Stage::Ehlo, "421 4.3.2 later"), Refused),
            (refused(Stage::Mail, "451 4.3.0 later"), Refused),
            (refused(Stage::Mail, "501 5.1.7 bad sender"), Refused),
            (failed(Stage::Recipient, Cause::Lost), Connection),
        ];
        for (end, expected) in ends {
            let attempt = Attempt {
                recipients: Vec::new(),
                end,
            };
            let outcome = classify(&attempt, 2, ContentRefused::NextRelay);
            assert_eq!(outcome.recipients, [NextRelay, NextRelay]);
            assert_eq!(class(&outcome), Some(expected), "{attempt:?}");
            assert!(!outcome.keeps_charge());
        }
    }

    #[test]
    fn r6_a_refusal_at_data_or_after_the_dot_is_a_failure() {
        for end in [
            refused(Stage::Data, "451 4.3.0 later"),
            refused(Stage::Data, "554 5.5.1 no"),
            refused(Stage::End, "451 4.3.0 later"),
            refused(Stage::End, "550 5.7.1 spam"),
        ] {
            let outcome = run(&[OK, UNKNOWN, GREYLISTED], end);
            assert_eq!(outcome.recipients, [NextRelay, Bounce, Defer]);
            assert_eq!(class(&outcome), Some(FailureClass::Refused));
            assert!(!outcome.keeps_charge());
        }
    }

    #[test]
    fn r6_content_that_a_relay_refuses_bounces_where_the_setting_says_so() {
        let run = |end| run_with(&[OK, OK], end, ContentRefused::Bounce);
        let outcome = run(refused(Stage::End, "550 5.7.1 spam"));
        assert_eq!(outcome.recipients, [Bounce, Bounce]);
        assert_eq!(outcome.health, Report::Neutral);
        // Only after the dot, and only for good.
        for end in [
            refused(Stage::End, "451 4.3.0 later"),
            refused(Stage::Data, "554 5.5.1 no"),
        ] {
            assert_eq!(run(end).recipients, [NextRelay, NextRelay]);
        }
    }

    #[test]
    fn r7_a_refused_recipient_bounces_and_is_not_a_failure() {
        let outcome = run(&[OK, UNKNOWN], accepted());
        assert_eq!(outcome.recipients, [Taken, Bounce]);
        assert_eq!(outcome.health, Report::Accepted);
        assert!(outcome.keeps_charge());
        for text in [
            UNKNOWN,
            "552 5.2.2 mailbox full",
            "550 no such user here",
            "551 user not local",
        ] {
            let outcome = run(&[text], End::NoRecipients);
            assert_eq!(outcome.recipients, [Bounce], "{text}");
            assert_eq!(outcome.health, Report::Neutral, "{text}");
            assert!(!outcome.keeps_charge());
        }
    }

    #[test]
    fn r7_greylisting_defers_the_recipient_and_is_not_a_failure() {
        let outcome = run(&[GREYLISTED, OK], accepted());
        assert_eq!(outcome.recipients, [Defer, Taken]);
        assert_eq!(outcome.health, Report::Accepted);
        let outcome = run(&[GREYLISTED, "452 4.2.2 full"], End::NoRecipients);
        assert_eq!(outcome.recipients, [Defer, Defer]);
        assert_eq!(outcome.health, Report::Neutral);
    }

    #[test]
    fn r10_every_recipient_refused_by_policy_means_not_on_the_allow_list() {
        for text in [DENIED, "554 Relay access denied", "550 5.7.1 rejected"] {
            let outcome = run(&[text, DENIED], End::NoRecipients);
            assert_eq!(outcome.recipients, [NextRelay, NextRelay], "{text}");
            assert_eq!(class(&outcome), Some(FailureClass::NotAllowed), "{text}");
        }
        let outcome = run(&["530 5.7.0 Authentication required"; 2], End::NoRecipients);
        assert_eq!(class(&outcome), Some(FailureClass::Login));
    }

    #[test]
    fn some_recipients_refused_by_policy_take_the_next_relay_without_a_failure() {
        let outcome = run(&[OK, DENIED, UNKNOWN], accepted());
        assert_eq!(outcome.recipients, [Taken, NextRelay, Bounce]);
        assert_eq!(outcome.health, Report::Accepted);
        let outcome = run(&[DENIED, UNKNOWN, GREYLISTED], End::NoRecipients);
        assert_eq!(outcome.recipients, [NextRelay, Bounce, Defer]);
        assert_eq!(outcome.health, Report::Neutral);
    }

    #[test]
    fn every_recipient_refused_by_the_system_of_the_relay_is_a_failure() {
        let outcome = run(&["452 4.3.1 disk full"; 2], End::NoRecipients);
        assert_eq!(outcome.recipients, [NextRelay, NextRelay]);
        assert_eq!(class(&outcome), Some(FailureClass::Refused));
        // One recipient for which it has one sends this one by the next relay.
        let outcome = run(&[OK, "503 5.5.1 no", "552 5.3.4 large"], accepted());
        assert_eq!(outcome.recipients, [Taken, NextRelay, NextRelay]);
        assert_eq!(outcome.health, Report::Accepted);
        let outcome = run(&[UNKNOWN, "421 4.3.2 closing"], End::NoRecipients);
        assert_eq!(outcome.recipients, [NextRelay, NextRelay]);
        assert_eq!(class(&outcome), Some(FailureClass::Refused));
    }

    #[test]
    fn r6_silence_after_the_final_dot_is_in_doubt() {
        for cause in [Cause::TimedOut, Cause::Lost, Cause::Protocol] {
            let outcome = run(&[OK, UNKNOWN, GREYLISTED], failed(Stage::End, cause));
            assert_eq!(outcome.recipients, [InDoubt, Bounce, Defer]);
            assert_eq!(outcome.health, Report::Neutral);
            assert!(outcome.keeps_charge());
        }
    }

    #[test]
    fn r6_a_connection_lost_before_the_final_dot_is_not_in_doubt() {
        let outcome = run(&[OK, UNKNOWN], failed(Stage::Content, Cause::TimedOut));
        assert_eq!(outcome.recipients, [NextRelay, Bounce]);
        assert_eq!(class(&outcome), Some(FailureClass::Connection));
    }

    #[test]
    fn r6_a_relay_that_cannot_carry_the_message_has_not_failed() {
        for missing in [Missing::SmtpUtf8, Missing::EightBitMime, Missing::Size] {
            let attempt = Attempt {
                recipients: Vec::new(),
                end: End::CannotCarry(missing),
            };
            let outcome = classify(&attempt, 2, ContentRefused::NextRelay);
            assert_eq!(outcome.recipients, [NextRelay, NextRelay]);
            assert_eq!(outcome.health, Report::Neutral);
        }
        for end in [
            refused(Stage::Mail, "552 5.3.4 too large"),
            refused(Stage::End, "552 5.3.4 too large"),
            refused(Stage::Mail, "550 5.6.7 SMTPUTF8 is required"),
        ] {
            let replies = match &end {
                End::Failed(failure) if failure.stage == Stage::Mail => ["503 5.5.1 no MAIL"; 2],
                _ => [OK; 2],
            };
            let outcome = run(&replies, end);
            assert_eq!(outcome.recipients, [NextRelay, NextRelay]);
            assert_eq!(outcome.health, Report::Neutral);
        }
    }

    fn replies() -> impl Strategy<Value = Vec<SmtpReply>> {
        let text =
            "(250 2.1.5|251|3[0-9]{2}|4[0-9]{2}( 4.[0-7].[0-9])?|5[0-9]{2}( 5.[0-7].[0-9])?) x";
        prop::collection::vec(text.prop_map(|text| reply(&text)), 0..6)
    }

    proptest! {
        #[test]
        fn r6_each_recipient_has_one_outcome_and_only_acceptance_takes(
            replies in replies(), recipients in 0..6usize, end in 0..12usize, bounce: bool,
        ) {
            let end = match end {
                0 => accepted(),
                1 => End::NoRecipients,
                2 => End::CannotCarry(Missing::Size),
                3 => refused(Stage::End, "451 4.3.0 later"),
                4 => refused(Stage::End, "550 5.0.0 no"),
                5 => failed(Stage::End, Cause::Lost),
                6 => failed(Stage::Content, Cause::Lost),
                7 => refused(Stage::Data, "554 5.0.0 no"),
                8 => refused(Stage::Mail, "451 4.3.0 later"),
                9 => failed(Stage::Connect, Cause::TimedOut),
                10 => refused(Stage::End, "354 go on"),
                _ => refused(Stage::Recipient, "421 4.3.2 bye"),
            };
            let attempt = Attempt { recipients: replies, end };
            let setting = if bounce { ContentRefused::Bounce } else { ContentRefused::NextRelay };
            let outcome = classify(&attempt, recipients, setting);
            prop_assert_eq!(outcome.recipients.len(), recipients);
            let taken = outcome.recipients.contains(&Taken);
            prop_assert_eq!(outcome.health == Report::Accepted, taken);
            prop_assert!(!taken || matches!(attempt.end, End::Accepted(_)));
            let end_is_silent = matches!(&attempt.end, End::Failed(failure) if failure.stage == Stage::End);
            prop_assert!(end_is_silent || !outcome.recipients.contains(&InDoubt));
        }
    }
}
