//! Comparison of two decisions, field by field, as text for people and as data for programs.
//!
//! The texts are stable: the same two decisions always give the same differences in the same order.
//! [`Difference::kind`] is the same for all messages that differ in the same way, so that differences can be counted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::types::{
    AuthorRewrite, Charge, Decision, Disclaimer, HeaderChange, HeaderField, Hop, Placement, Reply,
    ReturnPathChoice, Unit, Verdict, WhenFull,
};

/// Maximum number of characters of one value in the text.
const MAX_CHARACTERS: usize = 160;

/// A field of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Whether there is a decision at all.
    Outcome,
    /// Verdict.
    Verdict,
    /// Relays in order.
    Relay,
    /// Envelope sender.
    ReturnPath,
    /// Author in `From`.
    Author,
    /// `Sender`.
    Sender,
    /// Domains to sign for.
    Signatures,
    /// Disclaimers.
    Disclaimers,
    /// Header fields.
    Headers,
    /// Copies.
    Copies,
    /// Counters.
    Charges,
    /// Labels.
    Labels,
    /// Reasons.
    Reasons,
}

impl Field {
    /// Name of the field for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Verdict => "verdict",
            Self::Relay => "relay",
            Self::ReturnPath => "return path",
            Self::Author => "author",
            Self::Sender => "sender",
            Self::Signatures => "signatures",
            Self::Disclaimers => "disclaimers",
            Self::Headers => "headers",
            Self::Copies => "copies",
            Self::Charges => "charges",
            Self::Labels => "labels",
            Self::Reasons => "reasons",
        }
    }

    /// Whether a difference changes the message. Reasons and labels are only logged.
    pub fn has_effect(self) -> bool {
        !matches!(self, Self::Labels | Self::Reasons)
    }
}

/// How a field differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It has another value.
    Value {
        /// The first decision's.
        before: String,
        /// The second's.
        after: String,
    },
    /// The list has other entries.
    Entries {
        /// Only the first decision has them.
        removed: Vec<String>,
        /// Only the second has them.
        added: Vec<String>,
    },
    /// The list has the same entries in a different order.
    Order {
        /// The first decision's.
        before: Vec<String>,
        /// The second's.
        after: Vec<String>,
    },
}

/// A field in which two decisions differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// The same for all messages that differ in the same way: it contains values of the settings (relays, verdicts,
    /// domains), and none of the message.
    pub kind: String,
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
}

impl Difference {
    /// A value that differs; the kind contains a short form of both.
    pub fn value(field: Field, before: [String; 2], after: [String; 2]) -> Option<Self> {
        let [brief_before, before] = before;
        let [brief_after, after] = after;
        if before == after {
            return None;
        }
        let name = field.name();
        let kind = match brief_before == brief_after {
            true => format!("{name}: {brief_before} (details differ)"),
            false => format!("{name}: {brief_before} → {brief_after}"),
        };
        Some(Self {
            field,
            kind,
            change: Change::Value { before, after },
        })
    }

    /// A list that differs. The kind contains its entries only if they are values of the settings (`entries_in_kind`).
    fn list(
        field: Field,
        before: Vec<String>,
        after: Vec<String>,
        entries_in_kind: bool,
    ) -> Option<Self> {
        if before == after {
            return None;
        }
        let name = field.name();
        let removed = without(&before, &after);
        let added = without(&after, &before);
        if removed.is_empty() && added.is_empty() {
            return Some(Self {
                field,
                kind: format!("{name}: order changed"),
                change: Change::Order { before, after },
            });
        }
        let kind = match entries_in_kind {
            true => format!("{name}: {}", entries(&removed, &added)),
            false => match (removed.is_empty(), added.is_empty()) {
                (false, true) => format!("{name}: removed"),
                (true, false) => format!("{name}: added"),
                _ => format!("{name}: changed"),
            },
        };
        Some(Self {
            field,
            kind,
            change: Change::Entries { removed, added },
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field.name())?;
        match &self.change {
            Change::Value { before, after } => write!(f, "{} → {}", brief(before), brief(after)),
            Change::Entries { removed, added } => f.write_str(&entries(removed, added)),
            Change::Order { before, after } => {
                write!(f, "{} → {}", listed(before), listed(after))
            }
        }
    }
}

/// The differences of the second decision from the first; empty if they are equal.
pub fn compare(before: &Decision, after: &Decision) -> Vec<Difference> {
    // Without `..`, so that the compiler reports a new field here.
    let Decision {
        verdict,
        route,
        charges,
        return_path,
        author,
        sender,
        sign,
        disclaimers,
        headers,
        copies,
        labels,
        reasons,
    } = before;
    let value = Difference::value;
    let list = Difference::list;
    let found = [
        value(
            Field::Verdict,
            verdict_texts(verdict),
            verdict_texts(&after.verdict),
        ),
        value(Field::Relay, route_texts(route), route_texts(&after.route)),
        value(
            Field::ReturnPath,
            path_texts(return_path),
            path_texts(&after.return_path),
        ),
        value(
            Field::Author,
            author_texts(author.as_ref()),
            author_texts(after.author.as_ref()),
        ),
        value(
            Field::Sender,
            sender_texts(sender.as_deref()),
            sender_texts(after.sender.as_deref()),
        ),
        list(Field::Signatures, sign.clone(), after.sign.clone(), true),
        list(
            Field::Disclaimers,
            texts(disclaimers, disclaimer_text),
            texts(&after.disclaimers, disclaimer_text),
            false,
        ),
        list(
            Field::Headers,
            texts(headers, header_text),
            texts(&after.headers, header_text),
            false,
        ),
        list(
            Field::Copies,
            texts(copies, ToString::to_string),
            texts(&after.copies, ToString::to_string),
            false,
        ),
        list(
            Field::Charges,
            texts(charges, charge_text),
            texts(&after.charges, charge_text),
            false,
        ),
        list(
            Field::Labels,
            texts(labels, field_text),
            texts(&after.labels, field_text),
            false,
        ),
        list(
            Field::Reasons,
            reasons.clone(),
            after.reasons.clone(),
            false,
        ),
    ];
    found.into_iter().flatten().collect()
}

/// The entries of one list that the other lacks, with multiplicity.
fn without(list: &[String], other: &[String]) -> Vec<String> {
    let mut other: Vec<&String> = other.iter().collect();
    let mut left = Vec::new();
    for entry in list {
        match other.iter().position(|&known| known == entry) {
            Some(at) => drop(other.swap_remove(at)),
            None => left.push(entry.clone()),
        }
    }
    left
}

fn entries(removed: &[String], added: &[String]) -> String {
    let part = |word: &str, list: &[String]| match list {
        [] => None,
        list => Some(format!("{word} {}", listed(list))),
    };
    let parts = [part("removed", removed), part("added", added)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("; ")
}

fn listed(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|text| brief(text)).collect();
    texts.join(", ")
}

/// One line of limited length.
fn brief(text: &str) -> String {
    let mut brief: String = text
        .chars()
        .take(MAX_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        brief.push('…');
    }
    brief
}

fn texts<T>(list: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    list.iter().map(text).collect()
}

/// A short form for counting, and the full form.
fn verdict_texts(verdict: &Verdict) -> [String; 2] {
    let reply = |action: &str, reply: &Reply| {
        let Reply {
            code,
            enhanced,
            text,
        } = reply;
        [
            format!("{action} {code}"),
            format!("{action} {code} {enhanced} {text}"),
        ]
    };
    match verdict {
        Verdict::Accept => ["accept".to_owned(), "accept".to_owned()],
        Verdict::Discard => ["discard".to_owned(), "discard".to_owned()],
        Verdict::Hold(why) => ["hold".to_owned(), format!("hold ({why})")],
        Verdict::Reject(given) => reply("reject", given),
        Verdict::Defer(given) => reply("defer", given),
    }
}

fn route_texts(route: &[Hop]) -> [String; 2] {
    if route.is_empty() {
        let default = "default route".to_owned();
        return [default.clone(), default];
    }
    let brief = texts(route, |hop| hop.relay.clone());
    let full = texts(route, |hop| match &hop.return_path {
        None => hop.relay.clone(),
        Some(path) => {
            let [_, path] = path_texts(path);
            format!("{} (return path {path})", hop.relay)
        }
    });
    [brief.join(", "), full.join(", ")]
}

fn path_texts(path: &ReturnPathChoice) -> [String; 2] {
    let [brief, full] = match path {
        ReturnPathChoice::Keep => ["keep".to_owned(), "keep".to_owned()],
        ReturnPathChoice::Author => ["author".to_owned(), "author".to_owned()],
        ReturnPathChoice::Address(address) => ["address".to_owned(), format!("<{address}>")],
        ReturnPathChoice::Verp(domain) => [format!("verp {domain}"), format!("verp {domain}")],
    };
    [brief, full]
}

fn author_texts(author: Option<&AuthorRewrite>) -> [String; 2] {
    let Some(author) = author else {
        return ["unchanged".to_owned(), "unchanged".to_owned()];
    };
    let AuthorRewrite {
        mailbox,
        keep_in_name,
        reply_to,
    } = author;
    let name = mailbox.name.as_deref().unwrap_or_default();
    let mut full = format!("{name} <{}>", mailbox.address).trim().to_owned();
    if *keep_in_name {
        full.push_str(", the old one in the name");
    }
    if *reply_to {
        full.push_str(", the old one in Reply-To");
    }
    ["rewritten".to_owned(), full]
}

fn sender_texts(sender: Option<&str>) -> [String; 2] {
    match sender {
        None => ["unchanged".to_owned(), "unchanged".to_owned()],
        Some(sender) => ["set".to_owned(), sender.to_owned()],
    }
}

fn disclaimer_text(disclaimer: &Disclaimer) -> String {
    let Disclaimer {
        id,
        text,
        html,
        placement,
    } = disclaimer;
    let place = match placement {
        Placement::Top => "top",
        Placement::AboveQuote => "above the quote",
        Placement::Bottom => "bottom",
    };
    let html = html
        .as_deref()
        .map_or(String::new(), |html| format!(", HTML: {html}"));
    format!("{id} ({place}): {text}{html}")
}

fn header_text(change: &HeaderChange) -> String {
    match change {
        HeaderChange::Add(field) => format!("add {}", field_text(field)),
        HeaderChange::Replace(field) => format!("replace {}", field_text(field)),
        HeaderChange::Remove(name) => format!("remove {name}"),
    }
}

fn field_text(field: &HeaderField) -> String {
    format!("{}: {}", field.name, field.value)
}

fn charge_text(charge: &Charge) -> String {
    let Charge {
        counter,
        unit,
        maximum,
        full,
    } = charge;
    let unit = match unit {
        Unit::Message => "message",
        Unit::Recipient => "recipient",
    };
    let full = match full {
        WhenFull::Defer => "defer",
        WhenFull::Reject => "reject",
    };
    match maximum {
        Some(maximum) => format!("{counter} by {unit}, at most {maximum}, then {full}"),
        None => format!("{counter} by {unit}"),
    }
}

#[cfg(test)]
mod tests;
