//! Mail types and the rules that recognize them (R3).

use std::ops::Range;

use waxseal_settings::{Spanned, Table};

use super::{Choices, Limit, choices, limits};
use crate::names::Pattern;

/// A kind of mail with a name chosen by the administrator.
#[derive(Debug)]
pub(crate) struct MailType {
    pub(crate) name: String,
    /// Rules, one of which must match.
    pub(crate) rules: Vec<Rule>,
    /// Always use the default route.
    pub(crate) never_relayed: bool,
    pub(crate) choices: Choices,
    pub(crate) limits: Vec<Limit>,
    /// Place of its name.
    pub(crate) span: Range<usize>,
}

/// A rule: all of its conditions must match.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) conditions: Vec<Condition>,
    /// The type's name and the conditions, as shown in reasons.
    pub(crate) reason: String,
}

/// A condition of a rule.
#[derive(Debug)]
pub(crate) enum Condition {
    /// A field by its index in [`Types::headers`].
    Header(usize, HeaderTest),
    /// Whether `Auto-Submitted`, by its index, marks the message as automatic.
    Automatic(usize, bool),
    User(Vec<Pattern>),
    Author(Vec<Pattern>),
    Sender(Vec<Pattern>),
    Listener(Vec<Pattern>),
    /// All of these traits.
    Traits(Vec<String>),
}

/// A test of a header field. One field of that name must match.
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

/// All `[type.NAME]`, and the default type.
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

/// The type of all mail if the settings define none.
fn the_only_type() -> MailType {
    MailType {
        name: "mail".to_owned(),
        rules: Vec::new(),
        never_relayed: false,
        choices: Choices::default(),
        limits: Vec::new(),
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
        limits: limits::read(table, "limit", &scope, choices.notes),
        span: name.span.clone(),
    }
}

/// The type of messages that match no rule: `default-type`, or the only type
/// without `when`.
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
                let message = format!("unknown mail type \"{}\"", name.value);
                top.problem(name.span, message, Some(format!("one of {}", names())));
                return 0;
            }
        },
        None if types.is_empty() => return 0,
        None => match without.as_slice() {
            [only] => *only,
            _ => {
                let message = "no mail type is the default type";
                let expected = format!("`default-type` at the top of the file, one of {}", names());
                top.problem(types[0].span.clone(), message, Some(expected));
                return 0;
            }
        },
    };
    for index in without.into_iter().filter(|&index| index != default) {
        let message = format!("no rule matches type \"{}\"", types[index].name);
        let expected = "a rule for it, `when = [ … ]`";
        choices
            .notes
            .warn(types[index].span.clone(), message, expected);
    }
    default
}

/// The header fields that rules use.
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

/// Makes a condition from patterns, one of which must match.
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
        words.push(format!("traits {}", names.join(" and ")));
        conditions.push(Condition::Traits(names));
    }
    if table.keys().is_empty() {
        let expected = "`header`, `list-id`, `precedence`, `auto-submitted`, `user`, `author`, \
                        `sender`, `listener` or `trait`";
        table.problem(
            table.span(),
            "a rule without a condition matches every message",
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
                let message = format!("`{key}` without `header`");
                let expected = "`header = \"X-Mail-Type\"`, for example".to_owned();
                table.problem(span, message, Some(expected));
            }
        }
        return None;
    };
    if !is_field_name(&name.value) {
        let message = format!("invalid header field name \"{}\"", name.value);
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
            let message = "`is` and `contains` cannot be combined";
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
            Some("a text, in which * matches any text".to_owned()),
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
        true => format!("{header} is present"),
        false => format!("{header} is absent"),
    }
}
