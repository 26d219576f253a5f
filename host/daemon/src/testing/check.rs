//! Comparison of the result of a case with its expectations.

use std::ops::Range;

use waxseal_settings::Spanned;

use super::authentication::{DEFAULT_ROUTE, Hop};
use super::diff::unified;
use super::expected::{Expected, Field, Results, Text};
use super::failure::Failure;
use super::lists::{Element, NONE, Shown, in_order, listed};
use super::observed::Observed;
use super::pattern::Pattern;
use super::suite::Case;
use waxseal::config::Config;
use waxseal::pipeline::Outcome;
use waxseal::relay::RelayRegistry;
use waxseal_core::decision::Verdict;
use waxseal_core::message::Content;

/// All differences from the expectations.
pub(super) fn check(case: &Case, observed: &Observed, config: &Config) -> Vec<Failure> {
    let mut check = Check {
        case,
        observed,
        failures: Vec::new(),
    };
    check.verdict();
    check.failure();
    check.route(config);
    check.envelope();
    check.lists();
    check.labels();
    check.message();
    check.texts();
    check.authentication();
    check.cost();
    check.failures
}

struct Check<'a> {
    case: &'a Case,
    observed: &'a Observed,
    failures: Vec<Failure>,
}

impl<'a> Check<'a> {
    fn expected(&self) -> &'a Expected {
        &self.case.expected
    }

    fn fail(&mut self, what: &str, span: &Range<usize>, expected: &str, actual: String) {
        let failure = Failure::new(what, expected, actual);
        self.failures.push(self.placed(failure, span));
    }

    fn placed(&self, failure: Failure, span: &Range<usize>) -> Failure {
        failure.at(Some(self.case.line(span)))
    }

    fn pattern(&mut self, what: &str, expected: Option<&Spanned<Pattern>>, actual: Option<&str>) {
        let Some(expected) = expected else {
            return;
        };
        if !actual.is_some_and(|actual| expected.value.fits(actual)) {
            let actual = actual.unwrap_or(NONE).to_owned();
            self.fail(what, &expected.span, &expected.value.to_string(), actual);
        }
    }

    fn verdict(&mut self) {
        let verdict_kind = self.observed.verdict_kind;
        let reply = self.reply();
        if let Some(expected) = &self.expected().verdict
            && expected.value != verdict_kind
        {
            let actual = match &reply {
                Some(reply) => format!("{}: {reply}", verdict_kind.as_str()),
                None => verdict_kind.as_str().to_owned(),
            };
            let mut failure = Failure::new("verdict", expected.value.as_str(), actual);
            if self.observed.outcome.is_none() {
                failure = failure.note(NOT_OUTGOING.to_owned());
            }
            self.failures.push(self.placed(failure, &expected.span));
        }
        self.pattern("reply", self.expected().reply.as_ref(), reply.as_deref());
    }

    /// The SMTP reply; for held mail, the reason.
    fn reply(&self) -> Option<String> {
        match self.observed.outcome.as_ref()?.verdict() {
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                Some(format!("{} {} {}", reply.code, reply.enhanced, reply.text))
            }
            Verdict::Hold(why) => Some(why),
            Verdict::Accept | Verdict::Discard => None,
        }
    }

    /// A failed policy is reported even if the case expects only the resulting
    /// verdict.
    fn failure(&mut self) {
        let actual = self.observed.outcome.as_ref().and_then(Outcome::failure);
        match (&self.expected().failure, actual) {
            (None, None) => {}
            (None, Some(failure)) => {
                let difference = Failure::new("failure", NONE, failure.kind().to_owned());
                self.failures.push(difference.note(failure.to_string()));
            }
            (Some(expected), actual) => {
                let kind = actual.map(waxseal::pipeline::Failure::kind);
                let text = actual.map(ToString::to_string);
                let fits = |text: Option<&str>| text.is_some_and(|text| expected.value.fits(text));
                if !fits(kind) && !fits(text.as_deref()) {
                    let actual = match (kind, text) {
                        (Some(kind), Some(text)) => format!("{kind}: {text}"),
                        _ => NONE.to_owned(),
                    };
                    let wanted = expected.value.to_string();
                    self.fail("failure", &expected.span, &wanted, actual);
                }
            }
        }
    }

    fn route(&mut self, config: &Config) {
        let outcome = self.observed.outcome.as_ref();
        let delivery = outcome.and_then(Outcome::delivery);
        if let Some(expected) = &self.expected().relay {
            let relay = delivery.and_then(|delivery| delivery.relay.as_ref());
            let actual = relay.map_or(DEFAULT_ROUTE, |relay| relay.as_str());
            if actual != expected.value {
                let mut failure = Failure::new("relay", &expected.value, actual.to_owned());
                let known = expected.value == DEFAULT_ROUTE
                    || RelayRegistry::new(config).contains(&expected.value);
                if !known {
                    let known: Vec<&str> = config
                        .relays
                        .iter()
                        .map(|relay| relay.name.as_str())
                        .collect();
                    failure = failure.note(format!(
                        "unknown relay; the configuration defines {}",
                        listed(&known, ", ")
                    ));
                } else if outcome.is_none() {
                    failure = failure.note(NOT_OUTGOING.to_owned());
                }
                self.failures.push(self.placed(failure, &expected.span));
            }
        }
        if let Some(expected) = &self.expected().fallbacks {
            let fallbacks = delivery.map_or(&[][..], |delivery| &delivery.fallbacks);
            let actual: Vec<&str> = fallbacks.iter().map(|relay| relay.as_str()).collect();
            if actual != expected.value {
                let wanted = listed(&expected.value, ", ");
                self.fail("fallbacks", &expected.span, &wanted, listed(&actual, ", "));
            }
        }
    }

    fn envelope(&mut self) {
        let outcome = self.observed.outcome.as_ref();
        let delivery = outcome.and_then(Outcome::delivery);
        let kept = self.observed.message.envelope.sender.to_string();
        let path =
            delivery.map_or_else(|| kept.clone(), |delivery| delivery.return_path.to_string());
        if let Some(expected) = &self.expected().return_path {
            let bare = path.trim_start_matches('<').trim_end_matches('>');
            let wanted = expected.value.to_string();
            let fits = (wanted == "kept" && path == kept)
                || (wanted == "<>" && bare.is_empty())
                || expected.value.fits(bare);
            if !fits {
                let actual = if path == kept {
                    format!("{path} (unchanged)")
                } else {
                    path
                };
                self.fail("return-path", &expected.span, &wanted, actual);
            }
        }
        let author = match outcome {
            Some(outcome) => outcome.author.clone(),
            None => self.observed.content.header("From").into_iter().next(),
        };
        let expected = self.expected().author.as_ref();
        self.pattern("author", expected, author.as_deref());
    }

    fn lists(&mut self) {
        let outcome = self.observed.outcome.as_ref();
        let delivery = outcome.and_then(Outcome::delivery);
        let signatures: Vec<String> = delivery.map_or_else(Vec::new, |delivery| {
            let mut domains: Vec<String> = delivery
                .signatures
                .iter()
                .map(|signed| signed.domain.clone())
                .collect();
            domains.dedup();
            domains
        });
        let copies: Vec<String> = delivery.map_or_else(Vec::new, |delivery| {
            delivery.copies().iter().map(ToString::to_string).collect()
        });
        let reasons = outcome.map_or_else(Vec::new, |outcome| outcome.reasons.clone());
        let result = outcome.and_then(|outcome| outcome.result.as_ref());
        let log: Vec<String> = result.map_or_else(Vec::new, |result| {
            result.log.iter().map(|line| line.text.clone()).collect()
        });
        let expected = self.expected();
        self.list("signatures", expected.signatures.as_ref(), &signatures);
        self.list("copies", expected.copies.as_ref(), &copies);
        self.list("reasons", expected.reasons.as_ref(), &reasons);
        self.list("log", expected.log.as_ref(), &log);
        let disclaimers = delivery.map_or(&[][..], |delivery| &delivery.disclaimers);
        self.items("disclaimers", expected.disclaimers.as_ref(), disclaimers);
        let charges = delivery.map_or(&[][..], |delivery| &delivery.charges);
        self.items("charges", expected.charges.as_ref(), charges);
    }

    fn list(&mut self, what: &str, expected: Option<&Spanned<Vec<Pattern>>>, actual: &[String]) {
        self.items(what, expected, actual);
    }

    /// Each actual item must match an element, and each element an actual item,
    /// unless the element matches everything.
    fn items<E: Element<T>, T: Shown>(
        &mut self,
        what: &str,
        expected: Option<&Spanned<Vec<E>>>,
        actual: &[T],
    ) {
        let Some(Spanned { value, span }) = expected else {
            return;
        };
        let wanted = |actual: &T| value.iter().any(|element| element.fits(actual));
        let there =
            |element: &E| element.is_anything() || actual.iter().any(|actual| element.fits(actual));
        if actual.iter().all(wanted) && value.iter().all(there) {
            return;
        }
        let marked = |text: String, fits: bool| if fits { text } else { format!("{text}  ✗") };
        let elements: Vec<String> = value
            .iter()
            .map(|element| marked(element.shown(), there(element)))
            .collect();
        let shown: Vec<String> = actual
            .iter()
            .map(|actual| marked(actual.shown(), wanted(actual)))
            .collect();
        self.fail(what, span, &listed(&elements, "\n"), listed(&shown, "\n"));
    }

    fn labels(&mut self) {
        let labels = self
            .observed
            .outcome
            .as_ref()
            .map_or(&[][..], |outcome| &outcome.labels);
        for (name, expected) in &self.expected().labels {
            let label = labels.iter().find(|label| label.name == *name);
            let actual = label.map(|label| label.value.as_str());
            let fits = match (&expected.value, actual) {
                (None, None) => true,
                (Some(pattern), Some(actual)) => pattern.fits(actual),
                _ => false,
            };
            if !fits {
                let wanted = expected.value.as_ref();
                let wanted = wanted.map_or(NONE.to_owned(), ToString::to_string);
                let actual = actual.unwrap_or(NONE).to_owned();
                self.fail(&format!("labels.{name}"), &expected.span, &wanted, actual);
            }
        }
    }

    fn message(&mut self) {
        let content = &self.observed.content;
        for (name, expected) in &self.expected().header {
            let actual = content.header(name);
            let (fits, wanted) = match &expected.value {
                Field::Absent => (actual.is_empty(), "field absent".to_owned()),
                Field::Present => (!actual.is_empty(), "field present".to_owned()),
                Field::Values(patterns) => (in_order(patterns, &actual), listed(patterns, "\n")),
            };
            if !fits {
                let what = format!("header.{name}");
                self.fail(&what, &expected.span, &wanted, listed(&actual, "\n"));
            }
        }
        if let Some(expected) = &self.expected().parts {
            let parts = content.structure().parts().iter();
            let actual: Vec<String> = parts
                .map(|part| part.media().essence().to_owned())
                .collect();
            if !in_order(&expected.value, &actual) {
                let wanted = listed(&expected.value, "\n");
                self.fail("parts", &expected.span, &wanted, listed(&actual, "\n"));
            }
        }
        if let Some(expected) = &self.expected().unchanged {
            let same = content.bytes() == self.observed.message.content.bytes();
            if same != expected.value {
                let word = |same: bool| if same { "unchanged" } else { "changed" };
                let mut failure =
                    Failure::new("message", word(expected.value), word(same).to_owned());
                if !same {
                    failure = failure.diff(changes(&self.observed.message.content, content));
                }
                self.failures.push(self.placed(failure, &expected.span));
            }
        }
    }

    fn texts(&mut self) {
        let content = &self.observed.content;
        if let Some(expected) = &self.expected().text {
            let text = content.text(usize::MAX / 4).unwrap_or_default();
            self.text("text", expected, &text);
        }
        if let Some(expected) = &self.expected().html {
            let parts = content.structure().parts().iter();
            let html: Vec<String> = parts
                .filter(|part| part.media().is("text/html"))
                .map(|part| content.decoded(part))
                .collect();
            self.text("html", expected, &html.join("\n"));
        }
    }

    fn text(&mut self, what: &str, expected: &Spanned<Text>, actual: &str) {
        let actual = actual.replace("\r\n", "\n");
        let Spanned { value, span } = expected;
        for pattern in &value.contains {
            if !pattern.fits(&actual) {
                let wanted = format!("text that contains\n{}", inner(pattern));
                self.fail(what, span, &wanted, actual.trim_end().to_owned());
            }
        }
        for pattern in &value.lacks {
            if pattern.fits(&actual) {
                let wanted = format!("text without\n{}", inner(pattern));
                self.fail(what, span, &wanted, actual.trim_end().to_owned());
            }
        }
        if let Some(equals) = &value.equals
            && equals.trim_end() != actual.trim_end()
        {
            let failure = Failure::new(what, "the given text", "different text".to_owned());
            let diff = unified(equals.trim_end(), actual.trim_end(), "expected");
            self.failures.push(self.placed(failure.diff(diff), span));
        }
    }

    fn authentication(&mut self) {
        let expected = &self.expected().authentication;
        if expected.is_empty() {
            return;
        }
        let hops = &self.observed.hops;
        for (route, results) in &expected.by {
            if !hops.iter().any(|hop| hop.route == *route) {
                let routes: Vec<&str> = hops.iter().map(|hop| hop.route.as_str()).collect();
                let span = [
                    &results.spf,
                    &results.dkim,
                    &results.dmarc,
                    &results.at_relay,
                ]
                .into_iter()
                .flatten()
                .map(|result| result.span.clone())
                .next();
                let span = span.unwrap_or_else(|| self.case.span.clone());
                let what = format!("authentication.by.{route}");
                let actual = format!("possible routes: {}", listed(&routes, ", "));
                self.fail(&what, &span, "a route of the message", actual);
            }
        }
        if hops.is_empty() {
            let span = self.case.span.clone();
            let actual = "message is not sent".to_owned();
            self.fail("authentication", &span, "results for every route", actual);
        }
        for hop in hops {
            let own = expected.by.get(&hop.route);
            self.hop(hop, &expected.everywhere, own);
        }
    }

    fn hop(&mut self, hop: &Hop, everywhere: &Results, own: Option<&Results>) {
        let checks: [(&str, Pick, Option<&str>); 4] = [
            (
                "at-relay",
                |results| results.at_relay.as_ref(),
                hop.at_relay.as_deref(),
            ),
            ("spf", |results| results.spf.as_ref(), hop.spf.as_deref()),
            (
                "dkim",
                |results| results.dkim.as_ref(),
                Some(hop.dkim.as_str()),
            ),
            (
                "dmarc",
                |results| results.dmarc.as_ref(),
                hop.dmarc.as_deref(),
            ),
        ];
        let mut wrong = Vec::new();
        let mut span = None;
        for (name, of, actual) in checks {
            let wanted = own.and_then(of).or_else(|| of(everywhere));
            let Some(wanted) = wanted else {
                continue;
            };
            // The default route has no relay that checks.
            let asked = name != "at-relay" || hop.route != DEFAULT_ROUTE;
            if asked && actual != Some(wanted.value.as_str()) {
                wrong.push((name, wanted.value.as_str(), actual.unwrap_or("unknown")));
                span.get_or_insert_with(|| wanted.span.clone());
            }
        }
        if let Some(span) = span {
            let list = |pick: fn(&(&str, &str, &str)) -> String| {
                wrong.iter().map(pick).collect::<Vec<_>>().join(", ")
            };
            let what = format!("authentication by {}", hop.route);
            let wanted = list(|(name, wanted, _)| format!("{name} = {wanted}"));
            let actual = list(|(name, _, actual)| format!("{name} = {actual}"));
            let failure = Failure::new(&what, &wanted, actual).note(hop.words.clone());
            self.failures.push(self.placed(failure, &span));
        }
    }

    fn cost(&mut self) {
        let result = self
            .observed
            .outcome
            .as_ref()
            .and_then(|outcome| outcome.result.as_ref());
        let Some(cost) = result.map(|result| result.cost) else {
            return;
        };
        if let Some(most) = &self.expected().instructions
            && cost.instructions > most.value
        {
            let wanted = format!("at most {}", most.value);
            let actual = cost.instructions.to_string();
            self.fail("instructions", &most.span, &wanted, actual);
        }
        if let Some(most) = &self.expected().memory
            && cost.memory > most.value
        {
            let wanted = format!("at most {} bytes", most.value);
            let actual = format!("{} bytes", cost.memory);
            self.fail("memory", &most.span, &wanted, actual);
        }
    }
}

const NOT_OUTGOING: &str = "the message is not outgoing (client is neither authenticated nor in a listed network): the policy was not run";

/// A result with its name, expected and actual value.
type Pick = fn(&Results) -> Option<&Spanned<String>>;

/// The text of a `contains` pattern, without its asterisks.
fn inner(pattern: &Pattern) -> String {
    let text = pattern.to_string();
    let text = text.strip_prefix('*').unwrap_or(&text);
    text.strip_suffix('*').unwrap_or(text).to_owned()
}

fn changes(before: &Content, after: &Content) -> String {
    let text = |content: &Content| String::from_utf8_lossy(content.bytes()).replace("\r\n", "\n");
    unified(&text(before), &text(after), "as received")
}
