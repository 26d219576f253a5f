//! Once in a thread: whether a text, or what it quotes, has a disclaimer already.
//!
//! HTML carries a marker, a class name that most mail programs keep when they
//! quote. Everywhere else the words themselves are looked for, with white space
//! and quote marks taken out, so that wrapped and quoted lines are found too.

use memchr::memmem;

use crate::decision::Disclaimer;
use crate::work::{self, Progress};

/// A disclaimer in the forms in which it is looked for.
#[derive(Debug)]
pub(super) struct Trace {
    marker: String,
    text: String,
    html_text: Option<String>,
    /// The longest ASCII word of either form, without which a text need not be
    /// read.
    word: String,
}

/// Fewest letters of a disclaimer that are looked for as words: "Thanks" in a
/// thread is no disclaimer.
const SHORTEST: usize = 12;

impl Trace {
    pub(super) fn new(disclaimer: &Disclaimer) -> Self {
        let text = normalise(&disclaimer.text);
        let marker = format!(
            "waxseal-{:016x}",
            fnv1a(&[disclaimer.id.as_bytes(), b"\0", text.as_bytes()])
        );
        let html_text = disclaimer
            .html
            .as_deref()
            .map(|html| normalise(&mail_parser::html_to_text(html)));
        let form = if text.is_empty() {
            disclaimer.html.as_deref().unwrap_or_default()
        } else {
            &disclaimer.text
        };
        // With two forms, a word of one need not be in the other.
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

    /// Whether bytes of a charset in which ASCII is ASCII can hold the words at
    /// all: the quick answer for nearly all mail.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        work::spend(text.len());
        self.word.len() < 4 || memmem::find(text, self.word.as_bytes()).is_some()
    }

    /// The class name that marks it in HTML.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// Whether bytes of HTML hold the marker.
    pub(super) fn marks(&self, html: &[u8]) -> bool {
        work::spend(html.len());
        memmem::find(html, self.marker.as_bytes()).is_some()
    }

    /// Whether a normalised text holds the words of either form.
    pub(super) fn is_in(&self, normalised: &str) -> bool {
        let found = |words: &str| {
            work::spend(normalised.len());
            words.len() >= SHORTEST
                && memmem::find(normalised.as_bytes(), words.as_bytes()).is_some()
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

/// A text without white space and quote marks. It is copied in runs, since whole
/// bodies pass through here.
pub(super) fn normalise(text: &str) -> String {
    let mut normalised = String::with_capacity(text.len());
    let (mut run, mut at) = (0, 0);
    let mut progress = Progress::over(text.len());
    while let Some(&byte) = text.as_bytes().get(at) {
        progress.at(at);
        let (left_out, next) = if byte.is_ascii() {
            (LEFT_OUT[usize::from(byte)], at + 1)
        } else {
            let c = text[at..].chars().next().unwrap_or_default();
            (c.is_whitespace() || c == '\u{FEFF}', at + c.len_utf8())
        };
        if left_out {
            normalised.push_str(&text[run..at]);
            run = next;
        }
        at = next;
    }
    normalised.push_str(&text[run..]);
    normalised
}

/// The ASCII characters that [`normalise`] leaves out.
const LEFT_OUT: [bool; 128] = {
    let mut left_out = [false; 128];
    let characters = b"\t\n\x0B\x0C\r >|*";
    let mut at = 0;
    while at < characters.len() {
        left_out[characters[at] as usize] = true;
        at += 1;
    }
    left_out
};

/// FNV-1a, 64 bits: a name that stays the same on every machine and in every
/// version. No secret hangs on it.
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
    fn white_space_of_any_kind_and_quote_marks_are_left_out() {
        let all: String = ('\0'..'\u{3100}')
            .chain(['\u{FEFF}', '\u{10FFFF}'])
            .collect();
        let left_out = |c: char| c.is_whitespace() || matches!(c, '>' | '|' | '*' | '\u{FEFF}');
        let expected: String = all.chars().filter(|&c| !left_out(c)).collect();
        assert_eq!(normalise(&all), expected);
        assert_eq!(
            (normalise(""), normalise(" \n")),
            (String::new(), String::new())
        );
    }

    #[test]
    fn a_disclaimer_is_found_wrapped_and_quoted() {
        let trace = Trace::new(&Disclaimer {
            id: "legal".into(),
            text: "This message is confidential.\nAcme Ltd.".into(),
            html: None,
            placement: Placement::Bottom,
        });
        assert!(trace.is_in(&normalise(
            "> > This message is\r\n> > confidential. Acme\r\n> Ltd.\r\n"
        )));
        assert!(!trace.is_in(&normalise("This message is not confidential. Acme Ltd.")));
        assert!(trace.marks(format!("<div class=\"m_12{}\">", trace.marker()).as_bytes()));
        assert_eq!(trace.marker().len(), "waxseal-".len() + 16);
    }
}
