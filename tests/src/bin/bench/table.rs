//! The result: a line for each figure, with its target beside it.

use std::fmt::Write as _;

/// A line.
struct Line {
    what: String,
    figure: String,
    /// The target in words, and whether it was met.
    target: Option<(String, bool)>,
}

/// Lines under headings.
#[derive(Default)]
pub(crate) struct Table {
    sections: Vec<(String, Vec<Line>)>,
}

impl Table {
    /// Begins a section.
    pub(crate) fn section(&mut self, heading: &str) {
        eprintln!("measuring: {heading}");
        self.sections.push((heading.to_owned(), Vec::new()));
    }

    /// A figure to compare others with.
    pub(crate) fn figure(&mut self, what: impl Into<String>, figure: impl Into<String>) {
        self.push(Line {
            what: what.into(),
            figure: figure.into(),
            target: None,
        });
    }

    /// A figure that is to be at least so much.
    pub(crate) fn at_least(&mut self, what: &str, figure: f64, target: f64, unit: &str) {
        let target = (format!("at least {target}{unit}"), figure >= target);
        self.push(Line {
            what: what.to_owned(),
            figure: format!("{figure:.2}{unit}"),
            target: Some(target),
        });
    }

    /// A figure that is to be below so much.
    pub(crate) fn below(&mut self, what: &str, figure: f64, target: f64, unit: &str) {
        let target = (format!("below {target}{unit}"), figure < target);
        let digits = if figure < 1.0 { 2 } else { 1 };
        self.push(Line {
            what: what.to_owned(),
            figure: format!("{figure:.digits$}{unit}"),
            target: Some(target),
        });
    }

    fn push(&mut self, line: Line) {
        if let Some((_, lines)) = self.sections.last_mut() {
            lines.push(line);
        }
    }

    /// Prints all of it.
    pub(crate) fn print(&self) {
        let lines = || self.sections.iter().flat_map(|(_, lines)| lines);
        let width = |of: fn(&Line) -> &str| {
            lines()
                .map(|line| of(line).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (what, figure) = (width(|line| &line.what), width(|line| &line.figure));
        let mut text = String::new();
        for (heading, lines) in &self.sections {
            let _ = writeln!(text, "\n{heading}");
            for line in lines {
                let _ = write!(text, "  {:what$}  {:>figure$}", line.what, line.figure);
                if let Some((target, met)) = &line.target {
                    let _ = write!(
                        text,
                        "  {target:<18} {}",
                        if *met { "met" } else { "MISSED" }
                    );
                }
                text.push('\n');
            }
        }
        print!("{text}");
    }
}
