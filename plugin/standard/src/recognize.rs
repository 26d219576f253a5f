//! Recognition of a message's mail type.

use waxseal_policy::{Mailbox, Message};

use crate::names::{Pattern, contains};
use crate::settings::{Condition, HeaderTest, MailType, Rule};

/// A message while its type is searched. Values that several rules use are
/// requested from the host once.
pub(crate) struct View<'a> {
    message: &'a Message,
    authors: &'a [Mailbox],
    names: &'a [String],
    values: Vec<Option<Vec<String>>>,
}

impl<'a> View<'a> {
    /// `names` are the header fields to which the numbers in conditions refer.
    pub(crate) fn new(message: &'a Message, authors: &'a [Mailbox], names: &'a [String]) -> Self {
        Self {
            message,
            authors,
            names,
            values: vec![None; names.len()],
        }
    }

    /// The first type with a matching rule.
    pub(crate) fn recognize<'t>(&mut self, types: &'t [MailType]) -> Option<(usize, &'t Rule)> {
        types.iter().enumerate().find_map(|(index, mail_type)| {
            let rule = mail_type.rules.iter().find(|rule| self.matches(rule))?;
            Some((index, rule))
        })
    }

    fn matches(&mut self, rule: &Rule) -> bool {
        rule.conditions
            .iter()
            .all(|condition| self.holds(condition))
    }

    fn holds(&mut self, condition: &Condition) -> bool {
        match condition {
            Condition::Header(number, test) => holds_for(test, self.header(*number)),
            Condition::Automatic(number, expected) => {
                self.header(*number).iter().any(|value| is_automatic(value)) == *expected
            }
            Condition::User(patterns) => {
                let user = self.message.user();
                user.is_some_and(|user| any_matches(patterns, &user))
            }
            Condition::Author(patterns) => {
                let mut authors = self.authors.iter();
                authors.any(|author| any_matches(patterns, &author.address))
            }
            Condition::Sender(patterns) => any_matches(patterns, &self.message.sender()),
            Condition::Listener(patterns) => any_matches(patterns, &self.message.listener()),
            Condition::Traits(names) => names.iter().all(|name| self.message.has_trait(name)),
        }
    }

    fn header(&mut self, number: usize) -> &[String] {
        let (message, name) = (self.message, &self.names[number]);
        self.values[number].get_or_insert_with(|| message.header(name))
    }
}

fn holds_for(test: &HeaderTest, values: &[String]) -> bool {
    match test {
        HeaderTest::Present(present) => values.is_empty() != *present,
        HeaderTest::Is(patterns) => values
            .iter()
            .any(|value| any_matches(patterns, value.trim())),
        HeaderTest::Contains(parts) => values
            .iter()
            .any(|value| parts.iter().any(|part| contains(value, part))),
    }
}

/// Any keyword except `no`, with or without parameters (RFC 3834, section 5).
fn is_automatic(value: &str) -> bool {
    let keyword = value.split(';').next().unwrap_or(value).trim();
    !keyword.is_empty() && !keyword.eq_ignore_ascii_case("no")
}

fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}
