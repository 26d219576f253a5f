//! Detection of a disclaimer that a text, or the message that it quotes, already contains.
//!
//! HTML has a marker, a class name that most mail programs retain when they quote. Elsewhere the words are
//! searched, without white space and quote marks, so that wrapped and quoted lines are found too.

use memchr::memmem;

use crate::decision::Disclaimer;
use crate::work::{self, Progress};

/// The forms of a disclaimer to search for.
#[derive(Debug)]
pub(super) struct DisclaimerMatcher {
    marker: String,
    text: String,
    html_text: Option<String>,
    /// The longest ASCII word of either form: a text that lacks it need not be decoded.
    word: String,
}

/// Minimum length of a disclaimer that is searched by its words: "Thanks" in a thread is not a disclaimer.
const MIN_LENGTH: usize = 12;

impl DisclaimerMatcher {
    pub(super) fn new(disclaimer: &Disclaimer) -> Self {
        let text = normalize(&disclaimer.text);
        let marker = format!(
            "waxseal-{:016x}",
            fnv1a(&[disclaimer.id.as_bytes(), b"\0", text.as_bytes()])
        );
        let html_text = disclaimer
            .html
            .as_deref()
            .map(|html| normalize(&mail_parser::html_to_text(html)));
        let form = if text.is_empty() {
            disclaimer.html.as_deref().unwrap_or_default()
        } else {
            &disclaimer.text
        };
        // A word of one form need not occur in the other.
        let word = if disclaimer.html.is_some() {
            String::new()
        } else {
            longest_word(form)
        };
        Self {
            marker,
            text,
            html_text,
            word,
        }
    }

    /// Whether bytes of an ASCII-compatible charset can contain the words: a fast check that excludes nearly all
    /// mail.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        work::spend(text.len());
        self.word.len() < 4 || memmem::find(text, self.word.as_bytes()).is_some()
    }

    /// The class name of the disclaimer in HTML.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// Whether HTML contains the marker.
    pub(super) fn marks(&self, html: &[u8]) -> bool {
        work::spend(html.len());
        memmem::find(html, self.marker.as_bytes()).is_some()
    }

    /// Whether a normalized text contains the words of either form.
    pub(super) fn is_in(&self, normalized: &str) -> bool {
        let found = |words: &str| {
            work::spend(normalized.len());
            words.len() >= MIN_LENGTH
                && memmem::find(normalized.as_bytes(), words.as_bytes()).is_some()
        };
        found(&self.text) || self.html_text.as_deref().is_some_and(found)
    }
}

fn longest_word(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .max_by_key(|word| word.len())
        .unwrap_or_default()
        .to_owned()
}

/// A text without white space and quote marks. It is copied in runs, because complete bodies are processed.
pub(super) fn normalize(text: &str) -> String {
    let mut normalized = String::with_capacity(text.len());
    let (mut run, mut at) = (0, 0);
    let mut progress = Progress::over(text.len());
    while let Some(&byte) = text.as_bytes().get(at) {
        progress.at(at);
        let (omitted, next) = if byte.is_ascii() {
            (OMITTED[usize::from(byte)], at + 1)
        } else {
            let c = text[at..].chars().next().unwrap_or_default();
            (c.is_whitespace() || c == '\u{FEFF}', at + c.len_utf8())
        };
        if omitted {
            normalized.push_str(&text[run..at]);
            run = next;
        }
        at = next;
    }
    normalized.push_str(&text[run..]);
    normalized
}

/// The ASCII characters that [`normalize`] omits.
const OMITTED: [bool; 128] = {
    let mut omitted = [false; 128];
    let characters = b"\t\n\x0B\x0C\r >|*";
    let mut at = 0;
    while at < characters.len() {
        omitted[characters[at] as usize] = true;
        at += 1;
    }
    omitted
};

/// FNV-1a, 64 bits: a name that is the same on every machine and in every version. Not used for security.
pub(super) fn fnv1a(texts: &[&[u8]]) -> u64 {
    work::spend(texts.iter().map(|text| text.len()).sum());
    let bytes = texts.iter().copied().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Placement;

    #[test]
    fn white_space_of_any_kind_and_quote_marks_are_omitted() {
        let all: String = ('\0'..'\u{3100}')
            .chain(['\u{FEFF}', '\u{10FFFF}'])
            .collect();
        let omitted = |c: char| c.is_whitespace() || matches!(c, '>' | '|' | '*' | '\u{FEFF}');
        let expected: String = all.chars().filter(|&c| !omitted(c)).collect();
        assert_eq!(normalize(&all), expected);
        assert_eq!(
            (normalize(""), normalize(" \n")),
            (String::new(), String::new())
        );
    }

    #[test]
    fn a_disclaimer_is_found_wrapped_and_quoted() {
        let matcher = DisclaimerMatcher::new(&Disclaimer {
            id: "legal".into(),
            text: "This message is confidential.\nAcme Ltd.".into(),
            html: None,
            placement: Placement::Bottom,
        });
        assert!(matcher.is_in(&normalize(
            "> > This message is\r\n> > confidential. Acme\r\n> Ltd.\r\n"
        )));
        assert!(!matcher.is_in(&normalize("This message is not confidential. Acme Ltd.")));
        assert!(matcher.marks(format!("<div class=\"m_12{}\">", matcher.marker()).as_bytes()));
        assert_eq!(matcher.marker().len(), "waxseal-".len() + 16);
    }
}
