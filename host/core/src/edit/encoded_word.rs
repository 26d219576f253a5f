//! Encoder of header values: encoded words (RFC 2047) for text that is not ASCII, and folding of long lines
//! (RFC 5322, section 2.1.1).

use std::fmt::Write as _;

use data_encoding::BASE64;

use crate::message::Mailbox;
use crate::work::{self, Progress};

/// Preferred maximum of columns of a line.
const FOLD: usize = 78;

/// Longest word that is written unencoded: a line must not exceed 998 bytes, and a word cannot be folded.
const LONGEST_WORD: usize = 900;

/// Maximum length of an encoded word (RFC 2047, section 2).
const ENCODED_WORD: usize = 75;

/// Length of an encoded word without its payload.
const WORD_FRAME: usize = "=?utf-8?B??=".len();

/// The raw value of an unstructured field: everything after the colon.
pub(super) fn unstructured(name: &str, text: &str) -> Vec<u8> {
    let mut line = Folder::new(name);
    work::spend(text.len());
    let words: Vec<&str> = text.split(' ').collect();
    let mut at = 0;
    while at < words.len() {
        if !must_encode(words[at]) {
            line.word(words[at]);
            at += 1;
            continue;
        }
        // Adjacent words are encoded together: white space between encoded words is not displayed.
        let mut end = at + 1;
        while end < words.len() && must_encode(words[end]) {
            end += 1;
        }
        line.encoded(&words[at..end].join(" "));
        at = end;
    }
    line.finish()
}

/// The raw value of a field that lists mailboxes.
pub(super) fn mailboxes(name: &str, mailboxes: &[Mailbox]) -> Vec<u8> {
    let mut line = Folder::new(name);
    for (index, mailbox) in mailboxes.iter().enumerate() {
        work::spend(1 + mailbox.address.len());
        let comma = if index + 1 < mailboxes.len() { "," } else { "" };
        let address = one_line(&mailbox.address);
        match mailbox.name.as_deref().map(one_line) {
            Some(name) if !name.is_empty() => {
                line.phrase(&name);
                line.word(&format!("<{address}>{comma}"));
            }
            _ => line.word(&format!("{address}{comma}")),
        }
    }
    line.finish()
}

/// Replaces control characters and line ends by spaces, so that no text can start a header field.
pub(super) fn one_line(text: &str) -> String {
    work::spend(text.len());
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clean.trim().to_owned()
}

fn must_encode(word: &str) -> bool {
    word.len() > LONGEST_WORD || word.bytes().any(|byte| !(32..=126).contains(&byte))
}

/// A value that is being written, with the current column.
struct Folder {
    value: String,
    /// Whether only white space was written so far.
    blank: bool,
    column: usize,
}

impl Folder {
    fn new(name: &str) -> Self {
        Self {
            value: String::new(),
            blank: true,
            column: name.len() + 1,
        }
    }

    /// Writes a space or a fold, and an unencoded word. Folds are placed only before visible words: a line of
    /// white space alone is obsolete syntax.
    fn word(&mut self, word: &str) {
        self.gap(word.len());
        self.value.push_str(word);
        self.blank &= word.trim_ascii().is_empty();
        self.column += word.len();
    }

    fn gap(&mut self, width: usize) {
        let fold = width > 0 && self.column + 1 + width > FOLD && !self.blank;
        if fold {
            self.value.push_str("\r\n ");
            self.column = 1;
        } else {
            self.value.push(' ');
            self.column += 1;
        }
    }

    /// A display name: atoms, a quoted string or encoded words.
    fn phrase(&mut self, name: &str) {
        if must_encode(name) {
            return self.encoded(name);
        }
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
        if name.chars().all(is_atom) && !name.contains("=?") {
            return name
                .split(' ')
                .filter(|word| !word.is_empty())
                .for_each(|word| self.word(word));
        }
        self.word(&format!(
            "\"{}\"",
            name.replace('\\', "\\\\").replace('"', "\\\"")
        ));
    }

    /// Writes encoded words, none of which splits a character (RFC 2047, section 5).
    fn encoded(&mut self, text: &str) {
        let ascii_of = |text: &str| text.chars().filter(char::is_ascii).count();
        let mut rest = text;
        // Counted once and updated: a text may have very many words.
        let (mut characters, mut ascii_characters) = (text.chars().count(), ascii_of(text));
        let mut progress = Progress::over(text.len());
        while !rest.is_empty() {
            progress.at(text.len() - rest.len());
            let free = FOLD.saturating_sub(self.column + 1);
            // A fold is better than a short first word on a full line.
            let limit = if free < WORD_FRAME + 24 {
                ENCODED_WORD
            } else {
                free.min(ENCODED_WORD)
            };
            let budget = limit - WORD_FRAME;
            let ascii = ascii_characters * 2 > characters;
            let (length, payload) = if ascii {
                q_word(rest, budget)
            } else {
                b_word(rest, budget)
            };
            let kind = if ascii { 'Q' } else { 'B' };
            self.word(&format!("=?utf-8?{kind}?{payload}?="));
            let taken;
            (taken, rest) = rest.split_at(length);
            characters -= taken.chars().count();
            ascii_characters -= ascii_of(taken);
        }
    }

    fn finish(self) -> Vec<u8> {
        self.value.into_bytes()
    }
}

/// Encodes as many characters as fit in the Q encoding; the result is also valid in phrases.
fn q_word(text: &str, budget: usize) -> (usize, String) {
    let mut payload = String::new();
    for (at, c) in text.char_indices() {
        let start = payload.len();
        match c {
            ' ' => payload.push('_'),
            c if c.is_ascii_alphanumeric() || "!*+-/".contains(c) => payload.push(c),
            c => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(payload, "={byte:02X}");
                }
            }
        }
        if payload.len() > budget && at > 0 {
            payload.truncate(start);
            return (at, payload);
        }
    }
    (text.len(), payload)
}

/// Encodes as many characters as fit in base64.
fn b_word(text: &str, budget: usize) -> (usize, String) {
    let octets = (budget / 4 * 3).max(4);
    let end = text.floor_char_boundary(octets.min(text.len()));
    (end, BASE64.encode(&text.as_bytes()[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Content;

    fn read_back(name: &str, value: &[u8]) -> Content {
        Content::new([name.as_bytes(), b":", value, b"\r\n\r\n"].concat())
    }

    #[test]
    fn l15_an_address_has_no_control_characters_either() {
        let mailbox = |name: Option<&str>| Mailbox {
            name: name.map(str::to_owned),
            address: "a\0b\r\n\u{85}@other.test".to_owned(),
        };
        let value = mailboxes("Reply-To", &[mailbox(None), mailbox(Some("A"))]);
        let text = String::from_utf8(value).expect("UTF-8");
        assert_eq!(text, " a b   @other.test, A <a b   @other.test>");
    }

    #[test]
    fn any_text_is_decoded_unchanged_and_no_line_is_long() {
        let long_ascii = "word ".repeat(60) + "end";
        let long_japanese = "社外秘の情報".repeat(40);
        let token = "x".repeat(3000);
        for text in [
            "plain",
            "",
            "two  spaces",
            "café au lait",
            "Grüße aus München und Köln",
            "社外秘",
            "mixed 社 and ascii 外 here",
            long_ascii.as_str(),
            long_japanese.as_str(),
            token.as_str(),
        ] {
            let value = unstructured("Subject", text);
            let whole = [b"Subject:", value.as_slice()].concat();
            assert!(whole.is_ascii());
            assert!(
                whole
                    .split(|&byte| byte == b'\n')
                    .all(|line| line.len() <= FOLD + 1),
                "{text}"
            );
            let decoded = read_back("Subject", &value).header("Subject").concat();
            assert_eq!(decoded, text);
        }
    }

    #[test]
    fn mailboxes_are_decoded_unchanged() {
        let all: Vec<Mailbox> = [
            (Some("Alice"), "a@acme.test"),
            (Some("Example, Bob (Sales) \"B\""), "b@acme.test"),
            (Some("山田 太郎"), "y@acme.test"),
            (Some("a@b.test via Acme"), "n@acme.test"),
            (None, "c@acme.test"),
        ]
        .map(|(name, address)| Mailbox {
            name: name.map(str::to_owned),
            address: address.into(),
        })
        .to_vec();
        let value = mailboxes("From", &all);
        assert_eq!(read_back("From", &value).mailboxes("From"), all);
        assert_eq!(one_line("a\r\nBcc: x"), "a  Bcc: x");
    }
}
