//! Expectations of a case. Anything that it does not mention is not checked.
//!
//! A list is complete: each actual item must match an element, and each element an
//! actual item. `"*"` allows any further items.

use std::collections::BTreeMap;
use std::ops::Range;

use waxseal_settings::{Item, Spanned, Table};

use super::input::over;
use super::pattern::Pattern;
use waxseal::config::ByteSize;
use waxseal_core::decision::{Unit, WhenFull};
use waxseal_core::edit;

/// The expected verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedVerdict {
    Accept,
    Reject,
    Defer,
    Discard,
    Hold,
    /// The message is not outgoing and passes unchanged.
    Untouched,
}

impl ExpectedVerdict {
    const ALL: [(&'static str, Self); 6] = [
        ("accept", Self::Accept),
        ("reject", Self::Reject),
        ("defer", Self::Defer),
        ("discard", Self::Discard),
        ("hold", Self::Hold),
        ("untouched", Self::Untouched),
    ];

    pub(super) fn as_str(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, word)| *word == self);
        known.map_or("", |(text, _)| text)
    }
}

/// A disclaimer and its result.
#[derive(Clone, Debug)]
pub(super) struct Disclaimer {
    pub(super) id: Pattern,
    pub(super) outcome: Option<edit::Outcome>,
    pub(super) places: Option<Vec<String>>,
    pub(super) reason: Option<Pattern>,
}

/// A charge.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) counter: Pattern,
    pub(super) unit: Option<Unit>,
    pub(super) maximum: Option<u64>,
    pub(super) full: Option<WhenFull>,
}

/// Fields of one name.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Absent,
    Present,
    /// All fields of that name, in order.
    Values(Vec<Pattern>),
}

/// An expected text of the message.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) contains: Vec<Pattern>,
    pub(super) lacks: Vec<Pattern>,
    pub(super) equals: Option<String>,
}

/// Location of the golden file.
#[derive(Clone, Debug)]
pub(super) enum Golden {
    /// A named file.
    File(String),
    /// The file named after the case.
    ByName,
}

/// Expected authentication results.
#[derive(Clone, Debug, Default)]
pub(super) struct Authentication {
    /// For every possible route.
    pub(super) everywhere: Results,
    /// For single routes.
    pub(super) by: BTreeMap<String, Results>,
}

/// Results by check.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    pub(super) at_relay: Option<Spanned<String>>,
    pub(super) spf: Option<Spanned<String>>,
    pub(super) dkim: Option<Spanned<String>>,
    pub(super) dmarc: Option<Spanned<String>>,
}

impl Results {
    fn over(self, base: &Self) -> Self {
        Self {
            at_relay: self.at_relay.or_else(|| base.at_relay.clone()),
            spf: self.spf.or_else(|| base.spf.clone()),
            dkim: self.dkim.or_else(|| base.dkim.clone()),
            dmarc: self.dmarc.or_else(|| base.dmarc.clone()),
        }
    }

    fn is_empty(&self) -> bool {
        self.at_relay.is_none() && self.spf.is_none() && self.dkim.is_none() && self.dmarc.is_none()
    }
}

/// Expectations of a case. `None`: not checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) verdict: Option<Spanned<ExpectedVerdict>>,
    pub(super) reply: Option<Spanned<Pattern>>,
    pub(super) failure: Option<Spanned<Pattern>>,
    pub(super) relay: Option<Spanned<String>>,
    pub(super) fallbacks: Option<Spanned<Vec<String>>>,
    pub(super) return_path: Option<Spanned<Pattern>>,
    pub(super) author: Option<Spanned<Pattern>>,
    pub(super) signatures: Option<Spanned<Vec<Pattern>>>,
    pub(super) disclaimers: Option<Spanned<Vec<Disclaimer>>>,
    pub(super) charges: Option<Spanned<Vec<Charge>>>,
    pub(super) copies: Option<Spanned<Vec<Pattern>>>,
    pub(super) labels: BTreeMap<String, Spanned<Option<Pattern>>>,
    pub(super) reasons: Option<Spanned<Vec<Pattern>>>,
    pub(super) log: Option<Spanned<Vec<Pattern>>>,
    pub(super) header: BTreeMap<String, Spanned<Field>>,
    pub(super) parts: Option<Spanned<Vec<Pattern>>>,
    pub(super) text: Option<Spanned<Text>>,
    pub(super) html: Option<Spanned<Text>>,
    pub(super) unchanged: Option<Spanned<bool>>,
    pub(super) golden: Option<Spanned<Golden>>,
    pub(super) authentication: Authentication,
    pub(super) instructions: Option<Spanned<u64>>,
    pub(super) memory: Option<Spanned<usize>>,
}

impl Expected {
    pub(super) fn read(table: &Table<'_>) -> Self {
        let at_most = table.table("at-most");
        let at_most = at_most.as_ref();
        Self {
            verdict: spanned(
                table,
                "verdict",
                table.choice("verdict", &ExpectedVerdict::ALL),
            ),
            reply: pattern(table, "reply"),
            failure: pattern(table, "failure"),
            relay: table.string("relay"),
            fallbacks: list(table, "fallbacks", str::to_owned),
            return_path: pattern(table, "return-path"),
            author: pattern(table, "author"),
            signatures: patterns(table, "signatures"),
            disclaimers: items(table, "disclaimers", bare_disclaimer, disclaimer),
            charges: items(table, "charges", bare_charge, charge),
            copies: patterns(table, "copies"),
            labels: labels(table),
            reasons: patterns(table, "reasons"),
            log: patterns(table, "log"),
            header: header(table),
            parts: patterns(table, "parts"),
            text: text(table, "text"),
            html: text(table, "html"),
            unchanged: spanned(table, "unchanged", table.boolean("unchanged")),
            golden: golden(table),
            authentication: authentication(table),
            instructions: at_most.and_then(|table| table.integer("instructions", 0..=u64::MAX)),
            memory: at_most.and_then(|table| {
                let size = table.parsed::<ByteSize>("memory", "a size, like \"2 MiB\"")?;
                Some(Spanned {
                    value: size.value.0,
                    span: size.span,
                })
            }),
        }
    }

    /// These expectations, with defaults from `base`.
    pub(super) fn over(self, base: &Self) -> Self {
        macro_rules! else_base {
            ($($field:ident),*) => {
                Self {
                    labels: over(self.labels, &base.labels),
                    header: over(self.header, &base.header),
                    authentication: Authentication {
                        everywhere: self.authentication.everywhere.over(&base.authentication.everywhere),
                        by: over(self.authentication.by, &base.authentication.by),
                    },
                    $($field: self.$field.or_else(|| base.$field.clone()),)*
                }
            };
        }
        else_base!(
            verdict,
            reply,
            failure,
            relay,
            fallbacks,
            return_path,
            author,
            signatures,
            disclaimers,
            charges,
            copies,
            reasons,
            log,
            parts,
            text,
            html,
            unchanged,
            golden,
            instructions,
            memory
        )
    }

    /// Whether there is no expectation.
    pub(super) fn is_empty(&self) -> bool {
        let some = [
            self.verdict.is_some(),
            self.reply.is_some(),
            self.failure.is_some(),
            self.relay.is_some(),
            self.fallbacks.is_some(),
            self.return_path.is_some(),
            self.author.is_some(),
            self.signatures.is_some(),
            self.disclaimers.is_some(),
            self.charges.is_some(),
            self.copies.is_some(),
            !self.labels.is_empty(),
            self.reasons.is_some(),
            self.log.is_some(),
            !self.header.is_empty(),
            self.parts.is_some(),
            self.text.is_some(),
            self.html.is_some(),
            self.unchanged.is_some(),
            self.golden.is_some(),
            !self.authentication.is_empty(),
            self.instructions.is_some(),
            self.memory.is_some(),
        ];
        !some.contains(&true)
    }
}

impl Authentication {
    pub(super) fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.by.values().all(Results::is_empty)
    }
}

fn span(table: &Table<'_>, key: &str) -> Range<usize> {
    table.span_of(key).unwrap_or_else(|| table.span())
}

fn spanned<T>(table: &Table<'_>, key: &str, value: Option<T>) -> Option<Spanned<T>> {
    Some(Spanned {
        value: value?,
        span: span(table, key),
    })
}

fn pattern(table: &Table<'_>, key: &str) -> Option<Spanned<Pattern>> {
    let text = table.string(key)?;
    Some(Spanned {
        value: Pattern::new(&text.value),
        span: text.span,
    })
}

fn list<T>(table: &Table<'_>, key: &str, make: fn(&str) -> T) -> Option<Spanned<Vec<T>>> {
    let texts = table.strings(key)?;
    let made = texts.iter().map(|text| make(&text.value)).collect();
    spanned(table, key, Some(made))
}

fn patterns(table: &Table<'_>, key: &str) -> Option<Spanned<Vec<Pattern>>> {
    list(table, key, Pattern::new)
}

fn items<T>(
    table: &Table<'_>,
    key: &str,
    bare: fn(&str) -> T,
    whole: fn(&Table<'_>) -> Option<T>,
) -> Option<Spanned<Vec<T>>> {
    let items = table.items(key)?;
    let made = items
        .iter()
        .filter_map(|item| match item {
            Item::Text(text) => Some(bare(&text.value)),
            Item::Table(table) => whole(table),
        })
        .collect();
    spanned(table, key, Some(made))
}

/// A disclaimer given by name only must be in the message.
fn bare_disclaimer(id: &str) -> Disclaimer {
    let id = Pattern::new(id);
    Disclaimer {
        outcome: (!id.is_anything()).then_some(edit::Outcome::Inserted),
        id,
        places: None,
        reason: None,
    }
}

fn disclaimer(table: &Table<'_>) -> Option<Disclaimer> {
    table.require("id", "name of the disclaimer");
    let words = [
        ("inserted", edit::Outcome::Inserted),
        ("wrapped", edit::Outcome::Wrapped),
        ("skipped", edit::Outcome::Skipped),
    ];
    let outcome = table.choice("outcome", &words);
    let places = table.strings("where");
    let reason = table.string("reason");
    Some(Disclaimer {
        id: Pattern::new(&table.string("id")?.value),
        outcome,
        places: places.map(|places| places.into_iter().map(|place| place.value).collect()),
        reason: reason.map(|reason| Pattern::new(&reason.value)),
    })
}

fn bare_charge(counter: &str) -> Charge {
    Charge {
        counter: Pattern::new(counter),
        unit: None,
        maximum: None,
        full: None,
    }
}

fn charge(table: &Table<'_>) -> Option<Charge> {
    table.require("counter", "name of the counter");
    let units = [("message", Unit::Message), ("recipient", Unit::Recipient)];
    let full = [("defer", WhenFull::Defer), ("reject", WhenFull::Reject)];
    let unit = table.choice("unit", &units);
    let maximum = table.integer("maximum", 0..=u64::MAX);
    let full = table.choice("full", &full);
    Some(Charge {
        counter: Pattern::new(&table.string("counter")?.value),
        unit,
        maximum: maximum.map(|maximum| maximum.value),
        full,
    })
}

fn labels(table: &Table<'_>) -> BTreeMap<String, Spanned<Option<Pattern>>> {
    named(table, "labels", |labels, name| {
        if labels.type_of(name) == Some("boolean") {
            return absent(labels, name, "a value, or false for an absent label").map(|()| None);
        }
        let text = labels.string(name)?;
        Some(Some(Pattern::new(&text.value)))
    })
}

fn header(table: &Table<'_>) -> BTreeMap<String, Spanned<Field>> {
    named(table, "header", |fields, name| match fields.type_of(name) {
        Some("boolean") => Some(match fields.boolean(name)? {
            true => Field::Present,
            false => Field::Absent,
        }),
        _ => {
            let values = fields.strings(name)?;
            let values = values.iter().map(|value| Pattern::new(&value.value));
            Some(Field::Values(values.collect()))
        }
    })
}

fn named<T>(
    table: &Table<'_>,
    key: &str,
    read: fn(&Table<'_>, &str) -> Option<T>,
) -> BTreeMap<String, Spanned<T>> {
    let Some(inner) = table.table(key) else {
        return BTreeMap::new();
    };
    let names = inner.keys().into_iter().map(|name| name.value);
    names
        .filter_map(|name| {
            let value = spanned(&inner, &name, read(&inner, &name))?;
            Some((name, value))
        })
        .collect()
}

fn absent(table: &Table<'_>, name: &str, expected: &str) -> Option<()> {
    if table.boolean(name)? {
        let message = format!("`{name}` is true");
        table.problem(span(table, name), message, Some(expected.to_owned()));
    }
    Some(())
}

/// A text or list of texts that must be contained, or a table.
fn text(table: &Table<'_>, key: &str) -> Option<Spanned<Text>> {
    let within = |texts: Option<Vec<Spanned<String>>>| {
        let texts = texts.unwrap_or_default();
        let pattern = |text: &Spanned<String>| Pattern::new(&format!("*{}*", text.value.trim()));
        texts.iter().map(pattern).collect()
    };
    let value = match table.type_of(key)? {
        "table" => {
            let table = table.table(key)?;
            Text {
                contains: within(table.strings("contains")),
                lacks: within(table.strings("lacks")),
                equals: table.string("equals").map(|text| text.value),
            }
        }
        _ => Text {
            contains: within(Some(table.strings(key)?)),
            ..Text::default()
        },
    };
    spanned(table, key, Some(value))
}

fn golden(table: &Table<'_>) -> Option<Spanned<Golden>> {
    let value = match table.type_of("golden")? {
        "boolean" => table.boolean("golden")?.then_some(Golden::ByName),
        _ => Some(Golden::File(table.string("golden")?.value)),
    };
    spanned(table, "golden", value)
}

fn authentication(table: &Table<'_>) -> Authentication {
    let Some(table) = table.table("authentication") else {
        return Authentication::default();
    };
    let by = table.named_tables("by").into_iter();
    Authentication {
        by: by
            .map(|entry| (entry.name.value.clone(), results(&entry.table)))
            .collect(),
        everywhere: results(&table),
    }
}

const SPF: [&str; 7] = [
    "pass",
    "fail",
    "softfail",
    "neutral",
    "none",
    "temperror",
    "permerror",
];
const DKIM: [&str; 3] = ["pass", "fail", "none"];
const DMARC: [&str; 5] = ["pass", "fail", "none", "temperror", "permerror"];

fn results(table: &Table<'_>) -> Results {
    Results {
        at_relay: result(table, "at-relay", &SPF),
        spf: result(table, "spf", &SPF),
        dkim: result(table, "dkim", &DKIM),
        dmarc: result(table, "dmarc", &DMARC),
    }
}

fn result(table: &Table<'_>, key: &str, words: &[&str]) -> Option<Spanned<String>> {
    let words: Vec<(&str, String)> = words
        .iter()
        .map(|word| (*word, (*word).to_owned()))
        .collect();
    spanned(table, key, table.choice(key, &words))
}
