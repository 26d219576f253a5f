//! Validation of decisions, the same for every policy.

use super::bounds::{self, quoted};
use super::error::InvalidDecision;
use super::types::{Decision, HeaderChange, Hop, Reply, ReturnPathChoice, Verdict};

/// Header fields that only Waxseal, the MTA or a verifier may write. A policy that
/// could write them could forge the result of a signature check or a route.
const RESERVED: [&str; 10] = [
    "Received",
    "Return-Path",
    "DKIM-Signature",
    "Authentication-Results",
    // These describe the body, which only the editor changes.
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
    crate::message::ROUTE_FIELD,
    crate::message::SPLIT_FIELD,
    crate::message::PLAN_FIELD,
];

/// Checks that a decision can be applied.
///
/// # Errors
///
/// The first invalid value.
pub fn validate(decision: &Decision) -> Result<(), InvalidDecision> {
    bounds::check(decision)?;
    // Without `..`, so that the compiler reports a new field here.
    let Decision {
        verdict,
        route,
        charges: _, // By `bounds`: each counter's name.
        return_path,
        author: _, // An `Address` is valid; the name is encoded (RFC 2047).
        sender,
        sign,
        disclaimers: _, // Any text is valid.
        headers,
        copies: _, // An `Address` is valid.
        labels: _, // Escaped where they are printed.
        reasons: _,
    } = decision;
    match verdict {
        Verdict::Reject(reply) => validate_reply(reply, 5, "reject", "550 to 559")?,
        Verdict::Defer(reply) => validate_reply(reply, 4, "defer", "421, 450 to 459")?,
        Verdict::Accept | Verdict::Discard | Verdict::Hold(_) => {}
    }
    for change in headers {
        match change {
            HeaderChange::Add(field) | HeaderChange::Replace(field) => {
                validate_field(&field.name, &field.value)?;
            }
            HeaderChange::Remove(name) => validate_field(name, "")?,
        }
    }
    if let Some(sender) = sender {
        validate_field("Sender", sender)?;
    }
    let hops = route.iter().filter_map(
        |Hop {
             relay: _,
             return_path,
         }| return_path.as_ref(),
    );
    for choice in hops.chain([return_path]) {
        if let ReturnPathChoice::Verp(domain) = choice {
            validate_domain(domain)?;
        }
    }
    sign.iter()
        .try_for_each(|domain| validate_signing_domain(domain))
}

/// Checks a signing domain in Unicode or ASCII form; keys are found by A-labels
/// (RFC 5890).
fn validate_signing_domain(domain: &str) -> Result<(), InvalidDecision> {
    match idna::domain_to_ascii(domain) {
        Ok(ascii) if !domain.is_ascii() => validate_domain(&ascii),
        _ => validate_domain(domain),
    }
}

fn validate_reply(
    reply: &Reply,
    class: u16,
    verdict: &'static str,
    expected: &'static str,
) -> Result<(), InvalidDecision> {
    let code = reply.code;
    let fits = match class {
        4 => code == 421 || (450..=459).contains(&code),
        _ => (550..=559).contains(&code),
    };
    if !fits {
        return Err(InvalidDecision::ReplyCode {
            code,
            verdict,
            expected,
        });
    }
    let digits: Vec<&str> = reply.enhanced.split('.').collect();
    let well_formed = digits.len() == 3
        && digits[0] == class.to_string()
        && digits[1..].iter().all(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        });
    if !well_formed {
        let enhanced = quoted(&reply.enhanced);
        return Err(InvalidDecision::Enhanced {
            enhanced,
            code,
            first: class,
        });
    }
    let printable = reply
        .text
        .chars()
        .all(|c| c == '\n' || (c.is_ascii() && !c.is_ascii_control()));
    if !printable {
        return Err(InvalidDecision::ReplyText);
    }
    Ok(())
}

fn validate_field(name: &str, value: &str) -> Result<(), InvalidDecision> {
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| (33..=126).contains(&byte) && byte != b':');
    if !is_name {
        return Err(InvalidDecision::FieldName(quoted(name)));
    }
    if RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
    {
        return Err(InvalidDecision::Reserved(name.to_owned()));
    }
    if value.chars().any(|c| matches!(c, '\r' | '\n' | '\0')) {
        return Err(InvalidDecision::FieldValue(quoted(name)));
    }
    Ok(())
}

fn validate_domain(domain: &str) -> Result<(), InvalidDecision> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) {
        Ok(())
    } else {
        Err(InvalidDecision::Domain(quoted(domain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::HeaderField;

    fn reply(code: u16, enhanced: &str, text: &str) -> Reply {
        Reply {
            code,
            enhanced: enhanced.into(),
            text: text.into(),
        }
    }

    fn with(change: impl FnOnce(&mut Decision)) -> Result<(), InvalidDecision> {
        let mut decision = Decision::default();
        change(&mut decision);
        validate(&decision)
    }

    #[test]
    fn the_default_decision_is_valid() {
        assert_eq!(validate(&Decision::default()), Ok(()));
    }

    #[test]
    fn replies_match_their_verdict() {
        assert!(with(|d| d.verdict = Verdict::Reject(reply(550, "5.7.1", "no"))).is_ok());
        assert!(with(|d| d.verdict = Verdict::Reject(reply(450, "4.7.1", "no"))).is_err());
        assert!(with(|d| d.verdict = Verdict::Defer(reply(450, "5.7.1", "no"))).is_err());
        assert!(with(|d| d.verdict = Verdict::Defer(reply(451, "4.7", "no"))).is_err());
        let raw = with(|d| d.verdict = Verdict::Defer(reply(451, "4.7.1", "a\r\nDATA")));
        assert_eq!(raw, Err(InvalidDecision::ReplyText));
    }

    #[test]
    fn a_policy_cannot_write_reserved_fields_nor_line_ends() {
        let add = |name: &str, value: &str| {
            let field = HeaderField {
                name: name.into(),
                value: value.into(),
            };
            with(|d| d.headers.push(HeaderChange::Add(field)))
        };
        assert!(add("X-Tag", "value").is_ok());
        assert!(matches!(
            add("x-waxseal-route", "relay"),
            Err(InvalidDecision::Reserved(_))
        ));
        assert!(matches!(
            add("X-Tag", "a\nB: c"),
            Err(InvalidDecision::FieldValue(_))
        ));
        assert!(matches!(
            add("X Tag", "a"),
            Err(InvalidDecision::FieldName(_))
        ));
    }

    #[test]
    fn domains_are_validated() {
        assert!(with(|d| d.sign.push("acme.test".into())).is_ok());
        assert!(with(|d| d.sign.push("../keys".into())).is_err());
        assert!(with(|d| d.return_path = ReturnPathChoice::Verp("a b".into())).is_err());
    }
}
