//! Patterns in which `*` matches any text.

use std::fmt;

/// A pattern in which `*` matches any text, including the empty text. `\*` is a
/// literal asterisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    written: String,
    /// The texts between the asterisks.
    pieces: Vec<String>,
}

impl Pattern {
    pub(super) fn new(written: &str) -> Self {
        let mut pieces = vec![String::new()];
        let mut characters = written.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if characters.peek() == Some(&'*') => {
                    characters.next();
                    push(&mut pieces, '*');
                }
                '*' => pieces.push(String::new()),
                other => push(&mut pieces, other),
            }
        }
        Self {
            written: written.to_owned(),
            pieces,
        }
    }

    /// Whether it is `*`, which matches everything.
    pub(super) fn is_anything(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(String::is_empty)
    }

    /// Whether the whole text matches.
    pub(super) fn fits(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|piece| piece == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        for piece in between {
            match rest.split_once(piece.as_str()) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        true
    }
}

fn push(pieces: &mut [String], character: char) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(character);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_anything() {
        for (pattern, text, fits) in [
            ("relay", "relay", true),
            ("relay", "relays", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("b-*@bounce.test", "b-x7@bounce.test", true),
            ("b-*@bounce.test", "x@bounce.test", false),
            ("*a*a*", "aa", true),
            ("*a*a*", "a", false),
            ("a*a", "a", false),
            ("*done", "done and done", true),
            (r"5 \* 3", "5 * 3", true),
            (r"5 \* 3", "5 x 3", false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
        }
        assert!(Pattern::new("*").is_anything());
        assert!(!Pattern::new("a*").is_anything() && !Pattern::new("").is_anything());
    }
}
