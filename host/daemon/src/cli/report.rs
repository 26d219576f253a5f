//! Output of `waxseal try`, as text and as JSON.

use std::io;

use serde::Serialize;

use waxseal::pipeline::{Delivery, Outcome, PolicyId};
use waxseal_core::decision::{Charge, HeaderField, Verdict};
use waxseal_core::edit::{DisclaimerReport, Outcome as DisclaimerOutcome};
use waxseal_core::message::Message;
use waxseal_core::printable::Text;

/// The JSON object of `waxseal try --json`.
#[derive(Serialize)]
pub(super) struct Decided<'a> {
    verdict: Verdict,
    relay: Option<&'a str>,
    fallbacks: Vec<&'a str>,
    return_path: &'a str,
    author: Option<&'a str>,
    signatures: Vec<Signature<'a>>,
    disclaimers: &'a [DisclaimerReport],
    copies: Vec<&'a str>,
    charges: &'a [Charge],
    labels: &'a [HeaderField],
    reasons: &'a [String],
    policy: &'a PolicyId,
    /// Why the policy made no decision; `None` if it did.
    failure: Option<String>,
}

#[derive(Serialize)]
struct Signature<'a> {
    domain: &'a str,
    selector: &'a str,
    algorithm: String,
}

impl<'a> Decided<'a> {
    pub(super) fn of(message: &'a Message, outcome: &'a Outcome) -> Self {
        let delivery = outcome.delivery();
        let return_path = delivery.map_or(&message.envelope.sender, |it| &it.return_path);
        Self {
            verdict: outcome.verdict(),
            relay: delivery.and_then(|it| Some(it.relay.as_ref()?.as_str())),
            fallbacks: delivery.map_or_else(Vec::new, |it| {
                it.fallbacks.iter().map(|relay| relay.as_str()).collect()
            }),
            return_path: return_path.as_str(),
            author: outcome.author.as_deref(),
            signatures: delivery.map_or_else(Vec::new, signatures),
            disclaimers: delivery.map_or(&[], |it| &it.disclaimers),
            copies: delivery.map_or_else(Vec::new, |it| {
                it.copies().iter().map(|copy| copy.as_str()).collect()
            }),
            charges: delivery.map_or(&[], |it| &it.charges),
            labels: &outcome.labels,
            reasons: &outcome.reasons,
            policy: &outcome.policy,
            failure: outcome.failure().map(ToString::to_string),
        }
    }
}

fn signatures(delivery: &Delivery) -> Vec<Signature<'_>> {
    delivery
        .signatures
        .iter()
        .map(|signed| Signature {
            domain: &signed.domain,
            selector: &signed.selector,
            algorithm: signed.algorithm.to_string(),
        })
        .collect()
}

/// Writes the decision as text.
pub(super) fn text(message: &Message, outcome: &Outcome, out: &mut Text) -> io::Result<()> {
    let mut lines = Lines(out);
    let delivery = outcome.delivery();
    let decided = outcome.verdict();
    lines.add("verdict", &verdict(&decided))?;
    if let Some(failure) = outcome.failure() {
        lines.add("failure", &failure.to_string())?;
    }
    if matches!(decided, Verdict::Accept | Verdict::Hold(_)) {
        lines.add(
            "relay",
            delivery
                .and_then(|it| it.relay.as_ref())
                .map_or("default route", |relay| relay.as_str()),
        )?;
        for fallback in delivery.iter().flat_map(|it| &it.fallbacks) {
            lines.add("fallback", fallback.as_str())?;
        }
        let return_path = delivery.map_or(&message.envelope.sender, |it| &it.return_path);
        let kept = if *return_path == message.envelope.sender {
            " (unchanged)"
        } else {
            ""
        };
        lines.add("return path", &format!("{return_path}{kept}"))?;
    }
    lines.add_some("author", outcome.author.as_deref())?;
    for signature in delivery.map_or_else(Vec::new, signatures) {
        let Signature {
            domain,
            selector,
            algorithm,
        } = signature;
        lines.add(
            "signature",
            &format!("{algorithm}, d={domain}, s={selector}"),
        )?;
    }
    for report in delivery.iter().flat_map(|it| &it.disclaimers) {
        lines.add("disclaimer", &disclaimer(report))?;
    }
    for copy in delivery.iter().flat_map(|it| it.copies()) {
        lines.add("copy", copy.as_str())?;
    }
    for charge in delivery.iter().flat_map(|it| &it.charges) {
        let of = charge.maximum.map_or(String::new(), |maximum| {
            format!(", limit {maximum} per day")
        });
        lines.add("charge", &format!("{}{of}", charge.counter))?;
    }
    for label in &outcome.labels {
        lines.add("label", &format!("{} = {}", label.name, label.value))?;
    }
    for reason in &outcome.reasons {
        lines.add("reason", reason)?;
    }
    let PolicyId {
        name,
        version,
        digest,
    } = &outcome.policy;
    lines.add(
        "policy",
        &format!("{name} {version} ({})", digest.get(..12).unwrap_or(digest)),
    )?;
    Ok(())
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Discard => "discard".to_owned(),
        Verdict::Hold(why) => format!("hold: {why}"),
        Verdict::Reject(reply) => {
            format!("reject: {} {} {}", reply.code, reply.enhanced, reply.text)
        }
        Verdict::Defer(reply) => format!("defer: {} {} {}", reply.code, reply.enhanced, reply.text),
    }
}

fn disclaimer(report: &DisclaimerReport) -> String {
    let what = match report.outcome {
        DisclaimerOutcome::Inserted => format!("inserted into {}", report.places.join(", ")),
        DisclaimerOutcome::Wrapped => "added around the message".to_owned(),
        DisclaimerOutcome::Skipped => "not inserted".to_owned(),
    };
    let why = report
        .reason
        .map_or(String::new(), |reason| format!(": {reason}"));
    format!("{} {what}{why}", report.id)
}

/// Lines of a name and a value, aligned.
struct Lines<'a>(&'a mut Text);

impl Lines<'_> {
    fn add(&mut self, name: &str, value: &str) -> io::Result<()> {
        writeln!(self.0, "{name:>12}  {value}")
    }

    fn add_some(&mut self, name: &str, value: Option<&str>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.add(name, value))
    }
}
