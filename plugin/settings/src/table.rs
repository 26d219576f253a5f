//! A table of the settings, read key by key.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use crate::asked::{Asked, Questions};
use crate::position::Spanned;
use crate::problem::Problem;

/// A table of the settings. Every question notes its key as known and its
/// mistakes as problems; at the end of [`read`](crate::read), the keys that nobody
/// asked for are problems too.
#[derive(Debug)]
pub struct Table<'d> {
    entries: &'d DeTable<'d>,
    span: Range<usize>,
    questions: Questions,
    asked: &'d Asked,
}

/// A table under a name that is the administrator's to choose, such as
/// `[relay.NAME]`.
#[derive(Debug)]
pub struct Entry<'d> {
    /// The name and its position.
    pub name: Spanned<String>,
    /// The table.
    pub table: Table<'d>,
}

/// An element of a list that may hold texts and tables.
#[derive(Debug)]
pub enum Item<'d> {
    /// A text.
    Text(Spanned<String>),
    /// A table, `{ … }`.
    Table(Table<'d>),
}

impl<'d> Table<'d> {
    pub(crate) fn new(
        entries: &'d DeTable<'d>,
        span: Range<usize>,
        path: String,
        asked: &'d Asked,
    ) -> Self {
        Self {
            entries,
            span,
            questions: asked.table(entries, path),
            asked,
        }
    }

    /// Position of the table: its header, or its braces.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Position of the value of a key, if it exists.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.value(key).map(TomlSpanned::span)
    }

    /// TOML type of the value of `key` (`string`, `integer`, `boolean`, `array`, `table`, …), for keys that accept several.
    pub fn type_of(&self, key: &str) -> Option<&'static str> {
        self.value(key).map(|value| value.get_ref().type_str())
    }

    /// Reports a problem of the caller.
    pub fn problem(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        expected: Option<String>,
    ) {
        self.asked.problem(Problem {
            span,
            message: message.into(),
            expected,
        });
    }

    /// Reports that `key` is missing, unless it exists.
    pub fn require(&self, key: &str, expected: &str) {
        if self.value(key).is_none() {
            let message = format!("`{}` is missing", self.full(key));
            self.problem(self.span(), message, Some(expected.to_owned()));
        }
    }

    /// A text.
    pub fn string(&self, key: &str) -> Option<Spanned<String>> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(spanned(text.to_owned(), value.span())),
            None => self.wrong_type(key, value, "a text in quotes"),
        }
    }

    /// A date and time: TOML's own, or the same in quotes.
    pub fn moment(&self, key: &str) -> Option<Spanned<String>> {
        let value = self.value(key)?;
        match (value.get_ref().as_datetime(), value.get_ref().as_str()) {
            (Some(moment), _) => Some(spanned(moment.to_string(), value.span())),
            (None, Some(text)) => Some(spanned(text.to_owned(), value.span())),
            (None, None) => self.wrong_type(key, value, "a date and time"),
        }
    }

    /// A string that `T` is parsed from.
    pub fn parsed<T>(&self, key: &str, expected: &str) -> Option<Spanned<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.string(key)?;
        self.parse(&self.full(key), &text, expected)
    }

    /// A string or a list of strings that `T` is parsed from. Invalid ones are
    /// reported and omitted.
    pub fn parsed_list<T>(&self, key: &str, expected: &str) -> Option<Vec<Spanned<T>>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let texts = self.strings(key)?;
        let path = self.full(key);
        Some(
            texts
                .iter()
                .filter_map(|text| self.parse(&path, text, expected))
                .collect(),
        )
    }

    /// A whole number within a range.
    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<Spanned<u64>> {
        let value = self.value(key)?;
        let expected = match *range.end() {
            u64::MAX => format!("a whole number, {} or more", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        let Some(integer) = value.get_ref().as_integer() else {
            return self.wrong_type(key, value, &expected);
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix());
        match number.ok().filter(|number| range.contains(number)) {
            Some(number) => Some(spanned(number, value.span())),
            None => {
                let message = format!("`{}` is {integer}", self.full(key));
                self.problem(value.span(), message, Some(expected));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref().as_bool() {
            Some(boolean) => Some(boolean),
            None => self.wrong_type(key, value, "true or false"),
        }
    }

    /// One of some words.
    pub fn choice<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(meaning.clone());
        }
        let list: Vec<String> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let message = format!("`{}` is \"{}\"", self.full(key), text.value);
        self.problem(text.span, message, Some(list.join(", ")));
        None
    }

    /// A text, or a list of texts.
    pub fn strings(&self, key: &str) -> Option<Vec<Spanned<String>>> {
        let value = self.value(key)?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(vec![spanned(text.to_owned(), value.span())]);
        }
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong_type(key, value, "a text, or a list of texts");
        };
        let mut texts = Vec::with_capacity(list.len());
        for element in list.iter() {
            match element.get_ref().as_str() {
                Some(text) => texts.push(spanned(text.to_owned(), element.span())),
                None => {
                    self.wrong_type::<()>(key, element, "texts only in this list");
                }
            }
        }
        Some(texts)
    }

    /// A text, a table, or a list of texts and tables.
    pub fn items(&self, key: &str) -> Option<Vec<Item<'d>>> {
        let value = self.value(key)?;
        let Some(list) = value.get_ref().as_array() else {
            return Some(self.item(key, value).into_iter().collect());
        };
        let items = list.iter().filter_map(|element| self.item(key, element));
        Some(items.collect())
    }

    fn item(&self, key: &str, value: &'d TomlSpanned<DeValue<'d>>) -> Option<Item<'d>> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(Item::Text(spanned(text.to_owned(), value.span())));
        }
        match value.get_ref().as_table() {
            Some(entries) => Some(Item::Table(self.inner(
                entries,
                value.span(),
                self.full(key),
            ))),
            None => self.wrong_type(key, value, "texts and tables"),
        }
    }

    /// A table, `[key]` or `key = { … }`.
    pub fn table(&self, key: &str) -> Option<Table<'d>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(entries) => Some(self.inner(entries, value.span(), self.full(key))),
            None => self.wrong_type(key, value, "a table"),
        }
    }

    /// A table or a list of tables: `[[key]]`.
    pub fn tables(&self, key: &str) -> Vec<Table<'d>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        if value.get_ref().is_table() {
            return self.table(key).into_iter().collect();
        }
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type::<()>(key, value, "a list of tables, [[…]]");
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(list.len());
        for element in list.iter() {
            match element.get_ref().as_table() {
                Some(entries) => {
                    tables.push(self.inner(entries, element.span(), self.full(key)));
                }
                None => {
                    self.wrong_type::<()>(key, element, "tables only in this list");
                }
            }
        }
        tables
    }

    /// All tables below `key`, whose names the administrator chooses:
    /// `[key.NAME]`.
    pub fn named_tables(&self, key: &str) -> Vec<Entry<'d>> {
        match self.table(key) {
            Some(table) => table.entries(),
            None => Vec::new(),
        }
    }

    /// All entries of this table, each of which must be a table.
    pub fn entries(&self) -> Vec<Entry<'d>> {
        let mut entries = Vec::with_capacity(self.entries.len());
        for (name, value) in self.entries {
            let key: &str = name.get_ref();
            self.know(key);
            match value.get_ref().as_table() {
                Some(inner) => entries.push(Entry {
                    name: spanned(key.to_owned(), name.span()),
                    table: self.inner(inner, value.span(), self.full(key)),
                }),
                None => {
                    self.wrong_type::<()>(key, value, "a table");
                }
            }
        }
        entries.sort_by_key(|entry| entry.name.span.start);
        entries
    }

    /// All keys of this table, in the order of the text, for tables whose keys
    /// the administrator chooses and whose values differ in type.
    pub fn keys(&self) -> Vec<Spanned<String>> {
        let mut keys: Vec<_> = self
            .entries
            .keys()
            .map(|name| spanned(name.get_ref().to_string(), name.span()))
            .collect();
        keys.sort_by_key(|key| key.span.start);
        keys
    }

    fn inner(&self, entries: &'d DeTable<'d>, span: Range<usize>, path: String) -> Table<'d> {
        Table::new(entries, span, path, self.asked)
    }

    fn parse<T>(&self, path: &str, text: &Spanned<String>, expected: &str) -> Option<Spanned<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        match text.value.parse() {
            Ok(value) => Some(spanned(value, text.span.clone())),
            Err(error) => {
                let message = format!("`{path}` is \"{}\": {error}", text.value);
                self.problem(text.span.clone(), message, Some(expected.to_owned()));
                None
            }
        }
    }

    fn value(&self, key: &str) -> Option<&'d TomlSpanned<DeValue<'d>>> {
        self.know(key);
        self.entries.get(key)
    }

    fn know(&self, key: &str) {
        self.asked.key(&self.questions, key);
    }

    fn full(&self, key: &str) -> String {
        self.questions.full(key)
    }

    fn wrong_type<T>(
        &self,
        key: &str,
        value: &TomlSpanned<DeValue<'_>>,
        expected: &str,
    ) -> Option<T> {
        let found = value.get_ref().type_str();
        let message = format!("`{}` is of type {found}", self.full(key));
        self.problem(value.span(), message, Some(expected.to_owned()));
        None
    }
}

fn spanned<T>(value: T, span: Range<usize>) -> Spanned<T> {
    Spanned { value, span }
}
