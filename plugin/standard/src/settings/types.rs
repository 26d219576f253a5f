//! Mail types and how they are recognised (R3).

use std::ops::Range;

use waxseal_settings::{Spanned, Table};

use super::{Choices, Maximum, choices, maxima};
use crate::names::Pattern;

/// A kind of mail, under a name of the administrator's.
#[derive(Debug)]
pub(crate) struct MailType {
    pub(crate) name: String,
    /// Ways to recognise it: one is enough.
    pub(crate) rules: Vec<Rule>,
    /// It always takes the default route.
    pub(crate) never_relayed: bool,
    pub(crate) choices: Choices,
    pub(crate) maxima: Vec<Maximum>,
    /// Where its name stands.
    pub(crate) span: Range<usize>,
}

/// One way to recognise a type: all conditions have to hold.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) conditions: Vec<Condition>,
    /// The conditions for people, the type's name before them.
    pub(crate) reason: String,
}

/// Something that can be said of a message.
#[derive(Debug)]
pub(crate) enum Condition {
    /// The field with that number among [`Types::headers`].
    Header(usize, HeaderTest),
    /// `Auto-Submitted`, with that number, says that the message is automatic.
    Automatic(usize, bool),
    User(Vec<Pattern>),
    Author(Vec<Pattern>),
    Sender(Vec<Pattern>),
    Listener(Vec<Pattern>),
    /// All of them.
    Traits(Vec<String>),
}

/// What is asked of a header field. One field of that name is enough.
#[derive(Debug)]
pub(crate) enum HeaderTest {
    Present(bool),
    Is(Vec<Pattern>),
    Contains(Vec<String>),
}

/// All mail types.
pub(super) struct Types {
    pub(super) types: Vec<MailType>,
    pub(super) default_type: usize,
    pub(super) headers: Vec<String>,
}

/// All `[type.NAME]`, and which of them is the default.
pub(super) fn read(top: &Table<'_>, choices: &choices::Reader<'_>) -> Types {
    let mut headers = Headers(Vec::new());
    let entries = top.named_tables("type");
    let mut types: Vec<_> = entries
        .iter()
        .map(|entry| read_type(&entry.name, &entry.table, choices, &mut headers))
        .collect();
    let default_type = default_type(top, &types, choices);
    if types.is_empty() {
        types.push(the_only_type());
    }
    Types {
        types,
        default_type,
        headers: headers.0,
    }
}

/// The type of all mail where the settings name none.
fn the_only_type() -> MailType {
    MailType {
        name: "mail".to_owned(),
        rules: Vec::new(),
        never_relayed: false,
        choices: Choices::default(),
        maxima: Vec::new(),
        span: 0..0,
    }
}

fn read_type(
    name: &Spanned<String>,
    table: &Table<'_>,
    choices: &choices::Reader<'_>,
    headers: &mut Headers,
) -> MailType {
    let scope = format!("type/{}", name.value);
    let rules = table.tables("when");
    MailType {
        name: name.value.clone(),
        rules: rules
            .iter()
            .map(|rule| read_rule(&name.value, rule, headers))
            .collect(),
        never_relayed: table.boolean("never-relayed").unwrap_or(false),
        choices: choices.read(table),
        maxima: maxima::read(table, "maximum", &scope, choices.notes),
        span: name.span.clone(),
    }
}

/// The type of messages that fit none: `default-type`, or the only type that
/// has no `when`.
fn default_type(top: &Table<'_>, types: &[MailType], choices: &choices::Reader<'_>) -> usize {
    let names = || {
        let names: Vec<_> = types.iter().map(|it| format!("\"{}\"", it.name)).collect();
        names.join(", ")
    };
    let without: Vec<_> = (0..types.len())
        .filter(|&index| types[index].rules.is_empty())
        .collect();
    let default = match top.string("default-type") {
        Some(name) => match types.iter().position(|it| it.name == name.value) {
            Some(index) => index,
            None => {
                let message = format!("there is no mail type \"{}\"", name.value);
                top.problem(name.span, message, Some(format!("one of {}", names())));
                return 0;
            }
        },
        None if types.is_empty() => return 0,
        None => match without.as_slice() {
            [only] => *only,
            _ => {
                let message = "no mail type is the default: what is a message that fits none?";
                let expected = format!("`default-type` at the top of the file, one of {}", names());
                top.problem(types[0].span.clone(), message, Some(expected));
                return 0;
            }
        },
    };
    for index in without.into_iter().filter(|&index| index != default) {
        let message = format!("no message is ever of type \"{}\"", types[index].name);
        let expected = "`when = [ … ]` says how it is recognised";
        choices
            .notes
            .warn(types[index].span.clone(), message, expected);
    }
    default
}

/// The header fields that rules look at.
struct Headers(Vec<String>);

impl Headers {
    fn number(&mut self, name: &str) -> usize {
        let known = self.0.iter().position(|it| it.eq_ignore_ascii_case(name));
        known.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}

/// Makes a condition of patterns, one of which has to fit.
type OfPatterns = fn(Vec<Pattern>) -> Condition;

fn read_rule(type_name: &str, table: &Table<'_>, headers: &mut Headers) -> Rule {
    let mut conditions = Vec::new();
    let mut words = Vec::new();
    if let Some((condition, text)) = header_condition(table, headers) {
        conditions.push(condition);
        words.push(text);
    }
    if let Some(present) = table.boolean("list-id") {
        let number = headers.number("List-Id");
        conditions.push(Condition::Header(number, HeaderTest::Present(present)));
        words.push(has("List-Id", present));
    }
    if let Some(values) = patterns(table, "precedence") {
        words.push(format!("Precedence is {}", listed(&values)));
        let number = headers.number("Precedence");
        conditions.push(Condition::Header(number, HeaderTest::Is(values)));
    }
    if let Some(automatic) = table.boolean("auto-submitted") {
        let number = headers.number("Auto-Submitted");
        conditions.push(Condition::Automatic(number, automatic));
        words.push(match automatic {
            true => "submitted by a program".to_owned(),
            false => "not submitted by a program".to_owned(),
        });
    }
    let by_pattern: [(&str, OfPatterns); 4] = [
        ("user", Condition::User),
        ("author", Condition::Author),
        ("sender", Condition::Sender),
        ("listener", Condition::Listener),
    ];
    for (key, condition) in by_pattern {
        if let Some(values) = patterns(table, key) {
            words.push(format!("{key} is {}", listed(&values)));
            conditions.push(condition(values));
        }
    }
    if let Some(names) = table.strings("trait") {
        let names: Vec<_> = names.into_iter().map(|name| name.value).collect();
        words.push(format!("it is {}", names.join(" and ")));
        conditions.push(Condition::Traits(names));
    }
    if table.keys().is_empty() {
        let expected = "`header`, `list-id`, `precedence`, `auto-submitted`, `user`, `author`, \
                        `sender`, `listener` or `trait`";
        table.problem(
            table.span(),
            "a rule without a condition fits every message",
            Some(expected.to_owned()),
        );
    }
    Rule {
        conditions,
        reason: format!("type {type_name}: {}", words.join(", and ")),
    }
}

fn header_condition(table: &Table<'_>, headers: &mut Headers) -> Option<(Condition, String)> {
    let (is, contains) = (patterns(table, "is"), table.strings("contains"));
    let Some(name) = table.string("header") else {
        for key in ["is", "contains"] {
            if let Some(span) = table.span_of(key) {
                let message = format!("`{key}` of which header field?");
                let expected = "`header = \"X-Mail-Type\"`, say".to_owned();
                table.problem(span, message, Some(expected));
            }
        }
        return None;
    };
    if !is_field_name(&name.value) {
        let message = format!("\"{}\" is no name of a header field", name.value);
        table.problem(
            name.span,
            message,
            Some("a name like \"X-Mail-Type\"".to_owned()),
        );
        return None;
    }
    let number = headers.number(&name.value);
    let (test, words) = match (is, contains) {
        (Some(_), Some(parts)) => {
            let message = "`is` and `contains` in one rule";
            let span = parts.first().map_or(name.span, |part| part.span.clone());
            table.problem(span, message, Some("one of the two".to_owned()));
            return None;
        }
        (Some(values), None) => {
            let words = format!("{} is {}", name.value, listed(&values));
            (HeaderTest::Is(values), words)
        }
        (None, Some(parts)) => {
            let parts: Vec<_> = parts.into_iter().map(|part| part.value).collect();
            let words = format!("{} contains {}", name.value, parts.join(" or "));
            (HeaderTest::Contains(parts), words)
        }
        (None, None) => (HeaderTest::Present(true), has(&name.value, true)),
    };
    Some((Condition::Header(number, test), words))
}

fn is_field_name(name: &str) -> bool {
    let fits = |byte| (33..=126).contains(&byte) && byte != b':';
    !name.is_empty() && name.bytes().all(fits)
}

fn patterns(table: &Table<'_>, key: &str) -> Option<Vec<Pattern>> {
    let texts = table.strings(key)?;
    if let Some(empty) = texts.iter().find(|text| text.value.is_empty()) {
        let message = format!("`{key}` is empty");
        table.problem(
            empty.span.clone(),
            message,
            Some("a text, in which * stands for anything".to_owned()),
        );
    }
    Some(texts.into_iter().map(|text| Pattern(text.value)).collect())
}

fn listed(patterns: &[Pattern]) -> String {
    let texts: Vec<_> = patterns.iter().map(|pattern| pattern.0.as_str()).collect();
    texts.join(" or ")
}

fn has(header: &str, present: bool) -> String {
    match present {
        true => format!("it has {header}"),
        false => format!("it has no {header}"),
    }
}
