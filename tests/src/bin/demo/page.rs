//! Output lines, colored on a terminal.

use std::io::IsTerminal as _;

use similar::{ChangeTag, TextDiff};

/// Longest line of a message that is not cut.
const WIDTH: usize = 76;

/// Number of lines shown around a change.
const CONTEXT: usize = 2;

/// Standard output of the demo.
pub(crate) struct Page {
    color: bool,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            color: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    pub(crate) fn title(&self, text: &str) {
        println!("\n{}\n", self.paint("1;36", text));
    }

    pub(crate) fn blank(&self) {
        println!();
    }

    pub(crate) fn text(&self, text: &str) {
        println!("  {text}");
    }

    /// A name and a text.
    pub(crate) fn entry(&self, name: &str, text: &str) {
        println!("  {} {text}", self.paint("2", &format!("{name:<10}")));
    }

    /// Result of a check.
    pub(crate) fn check(&self, name: &str, good: bool, text: &str) {
        let mark = match good {
            true => self.paint("32", "✓"),
            false => self.paint("31", "✗"),
        };
        self.entry(name, &format!("{mark} {text}"));
    }

    /// The changed lines with their context.
    pub(crate) fn diff(&self, before: &str, after: &str) {
        let diff = TextDiff::from_lines(before, after);
        for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            if number > 0 {
                self.text(&self.paint("2", "    ⋮"));
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let line = shortened(change.value().trim_end());
                self.text(&match change.tag() {
                    ChangeTag::Insert => self.paint("32", &format!("  + {line}")),
                    ChangeTag::Delete => self.paint("31", &format!("  - {line}")),
                    ChangeTag::Equal => self.paint("2", &format!("    {line}")),
                });
            }
        }
    }
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}
