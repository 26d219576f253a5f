//! Definitions of disclaimers (R22).

use std::ops::Range;

use waxseal_policy::Placement;
use waxseal_settings::Table;

use crate::language;

/// A disclaimer in one or more languages.
#[derive(Debug)]
pub(crate) struct LocalizedDisclaimer {
    pub(crate) id: String,
    pub(crate) placement: Placement,
    /// At least one; a disclaimer without languages has one variant with an empty tag.
    pub(crate) variants: Vec<Variant>,
    /// Place of its name.
    pub(crate) span: Range<usize>,
}

/// A disclaimer in one language.
#[derive(Debug)]
pub(crate) struct Variant {
    /// Language tag (BCP 47), or empty for a disclaimer without languages.
    pub(crate) language: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
}

impl LocalizedDisclaimer {
    /// The variant for a message in that language, or the first.
    pub(crate) fn variant(&self, language: Option<&str>) -> &Variant {
        let languages: Vec<_> = self.languages().collect();
        let best = language.and_then(|tag| language::best(tag, &languages));
        &self.variants[best.unwrap_or(0)]
    }

    /// The languages of the variants.
    pub(crate) fn languages(&self) -> impl Iterator<Item = &str> {
        self.variants
            .iter()
            .map(|variant| variant.language.as_str())
    }
}

/// All `[disclaimer.NAME]`.
pub(super) fn read(top: &Table<'_>) -> Vec<LocalizedDisclaimer> {
    let entries = top.named_tables("disclaimer");
    let read = entries.iter().map(|entry| {
        let table = &entry.table;
        let words = [
            ("top", Placement::Top),
            ("above-quote", Placement::AboveQuote),
            ("bottom", Placement::Bottom),
        ];
        fits(
            table,
            &entry.name.value,
            entry.name.span.clone(),
            "name",
            100,
        );
        LocalizedDisclaimer {
            id: entry.name.value.clone(),
            placement: table
                .choice("placement", &words)
                .unwrap_or(Placement::Bottom),
            variants: read_variants(table),
            span: entry.name.span.clone(),
        }
    });
    read.collect()
}

fn read_variants(table: &Table<'_>) -> Vec<Variant> {
    if table.span_of("language").is_none() {
        return vec![read_variant("", table)];
    }
    for key in ["text", "html"] {
        if let Some(span) = table.span_of(key) {
            let message = format!("`{key}` cannot be combined with `language`");
            let expected = format!("`{key}` in [….language.en], for example");
            table.problem(span, message, Some(expected));
        }
    }
    let languages = table.named_tables("language");
    if languages.is_empty() {
        let expected = "a table for each language, such as [….language.en]".to_owned();
        table.problem(table.span(), "the disclaimer has no text", Some(expected));
        return vec![read_variant("", table)];
    }
    languages
        .iter()
        .map(|entry| read_variant(&entry.name.value, &entry.table))
        .collect()
}

fn read_variant(language: &str, table: &Table<'_>) -> Variant {
    table.require("text", "the disclaimer in plain text");
    let text = |key, limit| {
        let text = table.string(key)?;
        fits(table, &text.value, text.span, key, limit);
        Some(text.value.trim().to_owned())
    };
    if let Some(given) = table.string("text").filter(|it| it.value.trim().is_empty()) {
        let expected = "the disclaimer in plain text".to_owned();
        table.problem(given.span, "the disclaimer is empty", Some(expected));
    }
    Variant {
        language: language.to_owned(),
        text: text("text", 16 << 10).unwrap_or_default(),
        html: text("html", 64 << 10),
    }
}

/// Reports a value that exceeds a limit of the contract (`disclaimer`), because
/// the host would reject every decision with it.
fn fits(table: &Table<'_>, value: &str, span: Range<usize>, what: &str, limit: usize) {
    if value.len() > limit {
        let message = format!("the {what} of the disclaimer has {} bytes", value.len());
        table.problem(span, message, Some(format!("at most {limit} bytes")));
    }
}
