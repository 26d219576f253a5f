//! Sanitizing of text for logs, terminals and reports.
//!
//! Text from a message, a policy or a peer can contain line breaks, terminal escape sequences, or
//! bidirectional controls. All text output is sanitized here, as a log line or as a [`Text`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

use serde::Serialize;

/// Whether a character is unsafe to print: control characters (C0, DEL, C1), line and paragraph separators,
/// bidirectional controls, and invisible characters.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Bidirectional marks, embeddings, overrides and isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Byte order mark, interlinear annotation, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with unsafe characters as JSON escape sequences (`\n`, `\u001b`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push(&mut line, c));
    Cow::Owned(line)
}

/// The text on one line, with a space for each line break.
pub fn folded(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.trim().lines().map(str::trim).map(one_line).collect();
    lines.join(" ")
}

/// The text truncated to that many bytes, ending in `…` if it is longer.
pub fn cut(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    Cow::Owned(format!("{}…", &text[..end]))
}

fn push(line: &mut String, c: char) {
    match c {
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        c if is_unsafe(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
        c => line.push(c),
    }
}

/// A color of a [`Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Bold.
    Strong,
    /// Dim.
    Quiet,
}

impl Color {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Strong => "1",
            Self::Quiet => "2",
        }
    }
}

/// Sanitized text output. Each write call (`writeln!`) adds one line; line breaks in the values and other
/// unsafe characters are escaped.
#[derive(Clone, Debug, Default)]
pub struct Text {
    text: String,
    colors: bool,
}

impl Text {
    /// An empty text without colors.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty text, with or without colors.
    pub fn with_colors(colors: bool) -> Self {
        let text = String::new();
        Self { text, colors }
    }

    /// Whether it has colors.
    pub fn has_colors(&self) -> bool {
        self.colors
    }

    /// Adds text of one line. It may begin and end with line feeds.
    ///
    /// # Errors
    ///
    /// Never; `writeln!` requires this signature.
    pub fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> io::Result<()> {
        let line = line.to_string();
        let inner = line.trim_matches('\n');
        let before = line.len() - line.trim_start_matches('\n').len();
        // A text of line feeds only has no inner part.
        let after = line.len() - before - inner.len();
        (0..before).for_each(|_| self.text.push('\n'));
        self.text.push_str(&one_line(inner));
        (0..after).for_each(|_| self.text.push('\n'));
        Ok(())
    }

    /// Adds a part of a line in a color.
    pub fn paint(&mut self, color: Color, part: &str) {
        let part = one_line(part);
        if self.colors {
            let _ = write!(self.text, "\x1b[{}m{part}\x1b[0m", color.code());
        } else {
            self.text.push_str(&part);
        }
    }

    /// Adds lines of another text.
    pub fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
    }

    /// Adds formatted lines. Color sequences are retained if this text has colors.
    pub fn block(&mut self, lines: &str) {
        let mut rest = lines;
        while let Some(c) = rest.chars().next() {
            let color = color_sequence(rest);
            match color.filter(|_| self.colors) {
                Some(sequence) => self.text.push_str(sequence),
                None if matches!(c, '\n' | '\t') => self.text.push(c),
                None => push(&mut self.text, c),
            }
            rest = &rest[color.filter(|_| self.colors).map_or(c.len_utf8(), str::len)..];
        }
    }

    /// Adds a value as indented JSON.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized.
    pub fn json(&mut self, value: &impl Serialize) -> serde_json::Result<()> {
        let json = serde_json::to_string_pretty(value)?;
        // JSON strings contain no line breaks; other unsafe characters occur in strings only.
        let colors = std::mem::replace(&mut self.colors, false);
        self.block(&json);
        self.colors = colors;
        self.text.push('\n');
        Ok(())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.text
    }
}

/// The sequence that sets a color, if the text begins with one.
fn color_sequence(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\x1b[")?;
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    codes[end..].starts_with('m').then(|| &text[..2 + end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind of character that must not be printed.
    const HOSTILE: &str = "x\r\n2026-11-24T11:00:00Z  INFO forged\0\u{1b}[31mred\u{7f}\u{85}\u{9b}31m\
         \u{2028}\u{2029}\u{202e}\u{2066}\u{200f}\u{61c}\u{feff}\u{e0041}\ty";

    fn is_one_safe_line(text: &str) -> bool {
        let line = text.strip_suffix('\n').unwrap_or(text);
        !line.chars().any(is_unsafe)
    }

    #[test]
    fn l1_only_unsafe_characters_are_escaped() {
        let line = one_line(HOSTILE);
        assert!(is_one_safe_line(&line), "{line}");
        assert!(line.starts_with(
            "x\\r\\n2026-11-24T11:00:00Z  INFO forged\\u0000\\u001b[31mred\\u007f\\u0085"
        ));
        assert!(line.ends_with("\\ufeff\\udb40\\udc41\\ty"), "{line}");
        let fine = "Grüße, 日本語, 🙂 \"quoted\" \\ back";
        assert!(matches!(one_line(fine), Cow::Borrowed(same) if same == fine));
    }

    /// The escapes are those of JSON: what is read from it is what was written.
    #[test]
    fn l1_json_stays_json() {
        let mut text = Text::with_colors(true);
        text.json(&vec![HOSTILE]).expect("written");
        assert!(text.as_str().lines().all(is_one_safe_line));
        let read: Vec<String> = serde_json::from_str(text.as_str()).expect("JSON");
        assert_eq!(read, [HOSTILE]);
    }

    #[test]
    fn h5_one_call_is_one_line() {
        let mut text = Text::new();
        let _ = writeln!(text, "\n  because  {HOSTILE}");
        let _ = writeln!(text);
        let _ = write!(text, "the end");
        assert_eq!(text.as_str().lines().count(), 4);
        assert!(text.as_str().lines().all(is_one_safe_line), "{text:?}");
        assert!(text.as_str().starts_with("\n  because  x\\r\\n2026"));
        assert!(text.as_str().ends_with("\n\nthe end"));
    }

    #[test]
    fn h5_color_sequences_of_others_are_escaped() {
        let mut text = Text::with_colors(true);
        text.paint(Color::Bad, "\u{1b}[2Jbad");
        text.block("\u{1b}[1mtitle\u{1b}[0m\n\u{1b}[2J\u{1b}]0;title\u{7}");
        assert_eq!(
            text.as_str(),
            "\u{1b}[31m\\u001b[2Jbad\u{1b}[0m\u{1b}[1mtitle\u{1b}[0m\n\\u001b[2J\\u001b]0;title\\u0007"
        );
        let mut plain = Text::new();
        plain.block("\u{1b}[1mtitle\u{1b}[0m");
        assert_eq!(plain.as_str(), "\\u001b[1mtitle\\u001b[0m");
    }

    #[test]
    fn m8_truncated_text_is_marked_and_within_its_bytes() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        for bytes in 3..12 {
            assert!(cut("äöüäöüäöü", bytes).len() <= bytes);
        }
        assert_eq!(
            folded(" one\n   two\r\n\u{1b}three "),
            "one two \\u001bthree"
        );
    }
}
