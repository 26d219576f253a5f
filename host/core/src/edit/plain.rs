//! Positions and line wrapping of disclaimers in plain text.
//!
//! The positions are above the text, below it, or above the quoted part that ends a reply. In `format=flowed`
//! text (RFC 3676) the disclaimer's lines are not joined with the surrounding text.

use std::borrow::Cow;

use crate::decision::Placement;
use crate::work::{self, Progress};

/// Longest line written in flowed text, with its trailing space (RFC 3676, section 4.2).
const FLOWED_LINE: usize = 76;

/// Longest line of a disclaimer in other text, in characters: with four bytes each it stays below the 998 bytes of
/// RFC 5322, section 2.1.1.
const LONG_LINE: usize = 240;

/// Line format declared by the part's Content-Type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format {
    /// `format=flowed`.
    pub(super) flowed: bool,
    /// `delsp=yes`: the space at the end of a flowed line is not part of the text.
    pub(super) delsp: bool,
}

/// A position in plain text, and the line ends to write around a disclaimer there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset in the text.
    pub(super) at: usize,
    before: &'static str,
    after: &'static str,
}

/// Finds the position. `view` is the text as ASCII; with `whole_body` nothing follows the part, so that its last
/// line needs an end.
pub(super) fn place(view: &[u8], placement: Placement, format: Format, whole_body: bool) -> Place {
    let at = match placement {
        Placement::Top => 0,
        Placement::AboveQuote => quote(view).unwrap_or(view.len()),
        Placement::Bottom => view.len(),
    };
    let (above, below) = view.split_at(at);
    let before = match above {
        [] => "",
        // A flowed paragraph that is not terminated would absorb the disclaimer.
        _ if format.flowed && flows(above) => {
            if above.ends_with(b"\n") {
                "\n\n"
            } else {
                "\n\n\n"
            }
        }
        _ if above.ends_with(b"\n\r\n") || above.ends_with(b"\n\n") || above == b"\r\n" => "",
        _ if above.ends_with(b"\n") => "\n",
        _ => "\n\n",
    };
    let after = match below {
        [] if whole_body || above.ends_with(b"\n") => "\n",
        [] => "",
        _ => "\n\n",
    };
    Place { at, before, after }
}

impl Place {
    /// The text to insert, with the line ends of the surrounding text.
    pub(super) fn fill(&self, disclaimer: &str, format: Format, line_end: &str) -> String {
        let lines: Vec<Cow<'_, str>> = disclaimer
            .lines()
            .map(str::trim_end)
            .flat_map(|line| wrap(line, format))
            .collect();
        let text = [self.before, &lines.join("\n"), self.after].concat();
        if line_end == "\n" {
            text
        } else {
            text.replace('\n', line_end)
        }
    }
}

/// The line end of a text: that of its first line, CRLF by default.
pub(super) fn line_end(view: &[u8]) -> &'static str {
    match memchr::memchr(b'\n', view) {
        Some(lf) if lf == 0 || view[lf - 1] != b'\r' => "\n",
        _ => "\r\n",
    }
}

/// Whether the last line of flowed text continues.
fn flows(text: &[u8]) -> bool {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let begin = memchr::memrchr(b'\n', line).map_or(0, |lf| lf + 1);
    let line = &line[begin..];
    let unquoted = &line[line.iter().take_while(|&&byte| byte == b'>').count()..];
    line.ends_with(b" ")
        && unquoted.strip_prefix(b" ").unwrap_or(unquoted) != b"-- "
        && unquoted != b"-- "
}

/// Lines of a disclaimer, none longer than the format permits.
fn wrap(line: &str, format: Format) -> Vec<Cow<'_, str>> {
    let stuff = |line: &str| -> String {
        let stuffed = format.flowed && (line.starts_with([' ', '>']) || line.starts_with("From "));
        if stuffed {
            format!(" {line}")
        } else {
            line.to_owned()
        }
    };
    let maximum = if format.flowed {
        FLOWED_LINE
    } else {
        LONG_LINE
    };
    if line == "--" && format.flowed {
        // Without its trailing space it is an ordinary line.
        return vec![Cow::Borrowed(line)];
    }
    if line.chars().count() <= maximum {
        return vec![if format.flowed {
            Cow::Owned(stuff(line))
        } else {
            Cow::Borrowed(line)
        }];
    }
    let mut lines = Vec::new();
    let mut rest = line;
    // Room for a stuffed space, and for the two that end a line with DelSp.
    let room = maximum - 3;
    let mut progress = Progress::over(line.len());
    // Only as much of the line is scanned as fits: it may be very long.
    while let Some((hard, _)) = rest.char_indices().nth(room) {
        progress.at(line.len() - rest.len());
        let space = rest[..hard].rfind(' ').filter(|&at| at > 0);
        let Some(cut) = space
            .map(|at| at + 1)
            .or((!format.flowed || format.delsp).then_some(hard))
        else {
            // Flowed lines can only break at spaces.
            let next = rest[hard..].find(' ').map(|at| hard + at + 1);
            let Some(next) = next else { break };
            lines.push(Cow::Owned(stuff(&rest[..next])));
            rest = &rest[next..];
            continue;
        };
        let (head, tail) = rest.split_at(cut);
        lines.push(Cow::Owned(match (format.flowed, format.delsp) {
            (true, true) => stuff(head) + " ",
            (true, false) => stuff(head),
            (false, _) => head.trim_end().to_owned(),
        }));
        rest = tail;
    }
    lines.push(Cow::Owned(stuff(rest)));
    lines
}

/// Start of the quoted part that ends a reply, with the line that introduces it. `None` if nothing is quoted, or
/// if the reply continues below the quote: a disclaimer in between would be read as part of it.
fn quote(view: &[u8]) -> Option<usize> {
    work::spend(view.len());
    let lines = lines_of(view);
    if let Some(index) = lines.iter().position(|&(_, line)| is_divider(line)) {
        return Some(lines[index].0);
    }
    let mut first = None;
    for (index, &(_, line)) in lines.iter().enumerate().rev() {
        if line.starts_with(b">") {
            first = Some(index);
        } else if !line.trim_ascii().is_empty() {
            break;
        }
    }
    let first = first?;
    let mut above = first;
    while above > 0 && lines[above - 1].1.trim_ascii().is_empty() {
        above -= 1;
    }
    // An attribution ("On Monday, Bob wrote:") may take two lines.
    let introduces = |index: usize| lines[index].1.trim_ascii_end().ends_with(b":");
    if above > 0 && first - above <= 1 && introduces(above - 1) {
        let mut start = above - 1;
        if start > 0
            && !lines[start].1.starts_with(b"On ")
            && lines[start - 1].1.starts_with(b"On ")
        {
            start -= 1;
        }
        return Some(lines[start].0);
    }
    Some(lines[first].0)
}

/// Whether a line is a divider above a quoted message, as mail programs write it that do not mark each line.
fn is_divider(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let dashed = line.starts_with(b"-----") && line.ends_with(b"-----") && line.len() > 12;
    let inner = line.trim_ascii_start();
    let inner: Vec<u8> = inner.iter().copied().filter(|byte| *byte != b'-').collect();
    (dashed
        && !inner.trim_ascii().is_empty()
        && !inner.trim_ascii().starts_with(b"BEGIN")
        && !inner.trim_ascii().starts_with(b"END"))
        || (line.len() >= 30 && line.iter().all(|&byte| byte == b'_'))
}

fn lines_of(view: &[u8]) -> Vec<(usize, &[u8])> {
    let mut at = 0;
    let line = |line: &'_ [u8]| line.len();
    view.split_inclusive(|&byte| byte == b'\n')
        .map(|text| {
            let start = at;
            at += line(text);
            (start, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOWED: Format = Format {
        flowed: true,
        delsp: false,
    };

    fn with(text: &str, placement: Placement, format: Format, whole: bool) -> String {
        let place = place(text.as_bytes(), placement, format, whole);
        let mut made = text.to_owned();
        made.insert_str(
            place.at,
            &place.fill("Disclaimer", format, line_end(text.as_bytes())),
        );
        made
    }

    #[test]
    fn a_disclaimer_is_separated_from_the_text() {
        let fixed = Format::default();
        for (text, placement, whole, expected) in [
            ("", Placement::Bottom, true, "Disclaimer\r\n"),
            ("Hi", Placement::Bottom, true, "Hi\r\n\r\nDisclaimer\r\n"),
            ("Hi", Placement::Bottom, false, "Hi\r\n\r\nDisclaimer"),
            (
                "Hi\r\n",
                Placement::Bottom,
                false,
                "Hi\r\n\r\nDisclaimer\r\n",
            ),
            ("Hi\n", Placement::Bottom, true, "Hi\n\nDisclaimer\n"),
            (
                "Hi\r\n\r\n",
                Placement::Bottom,
                true,
                "Hi\r\n\r\nDisclaimer\r\n",
            ),
            ("Hi\r\n", Placement::Top, true, "Disclaimer\r\n\r\nHi\r\n"),
        ] {
            assert_eq!(with(text, placement, fixed, whole), expected, "{text:?}");
        }
    }

    #[test]
    fn a_disclaimer_goes_above_the_quote_that_ends_a_reply() {
        let fixed = Format::default();
        for (text, expected) in [
            (
                "Yes.\r\n\r\nOn Monday, Bob wrote:\r\n> Ok?\r\n",
                "Yes.\r\n\r\nDisclaimer\r\n\r\nOn Monday, Bob wrote:\r\n> Ok?\r\n",
            ),
            (
                "Yes.\r\n\r\nOn Monday,\r\nBob wrote:\r\n\r\n> Ok?\r\n\r\n> Hm\r\n",
                "Yes.\r\n\r\nDisclaimer\r\n\r\nOn Monday,\r\nBob wrote:\r\n\r\n> Ok?\r\n\r\n> Hm\r\n",
            ),
            (
                "Yes.\r\n> Ok?\r\nNo.\r\n",
                "Yes.\r\n> Ok?\r\nNo.\r\n\r\nDisclaimer\r\n",
            ),
            (
                "Yes.\r\n-----Original Message-----\r\nFrom: x\r\n",
                "Yes.\r\n\r\nDisclaimer\r\n\r\n-----Original Message-----\r\nFrom: x\r\n",
            ),
        ] {
            assert_eq!(with(text, Placement::AboveQuote, fixed, true), expected);
        }
    }

    #[test]
    fn a_flowing_paragraph_ends_before_the_disclaimer() {
        assert_eq!(
            with("one \r\n", Placement::Bottom, FLOWED, true),
            "one \r\n\r\n\r\nDisclaimer\r\n"
        );
        assert_eq!(
            with("one\r\n-- \r\n", Placement::Bottom, FLOWED, true),
            "one\r\n-- \r\n\r\nDisclaimer\r\n"
        );
    }

    #[test]
    fn flowed_lines_are_stuffed_and_broken_at_spaces() {
        assert_eq!(wrap("From here", FLOWED), [" From here"]);
        assert_eq!(wrap("> sign", FLOWED), [" > sign"]);
        let long = "word ".repeat(40) + "end";
        for delsp in [false, true] {
            let format = Format {
                flowed: true,
                delsp,
            };
            let lines = wrap(&long, format);
            assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= FLOWED_LINE));
            let (last, flowing) = lines.split_last().expect("lines");
            let joined: String = flowing
                .iter()
                .map(|line| {
                    if delsp {
                        line.strip_suffix(' ').expect("space")
                    } else {
                        line
                    }
                })
                .collect();
            assert_eq!(joined + last, long);
        }
        let japanese = "社".repeat(300);
        let delsp = Format {
            flowed: true,
            delsp: true,
        };
        let joined: String = wrap(&japanese, delsp)
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect();
        assert_eq!(joined, japanese);
        assert_eq!(wrap(&japanese, FLOWED), [japanese.as_str()]);
    }
}
