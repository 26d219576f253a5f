//! Text output of a report.

use std::time::Duration;

use super::failure::Failure;
use super::report::{CaseReport, Report, log_line};
use crate::format::grouped;
use waxseal_core::printable::{Color, Text};

/// Number of slowest cases in the summary.
const SLOWEST: usize = 3;

/// Maximum number of lines printed per value.
const LONGEST: usize = 30;

impl Report {
    /// The failures and the summary, without colors.
    pub fn text(&self) -> String {
        let mut text = Text::new();
        self.write_failures(&mut text);
        self.write_summary(&mut text);
        text.into_string()
    }

    /// Writes each failed case with expected and actual values.
    pub(crate) fn write_failures(&self, text: &mut Text) {
        for case in self.cases.iter().filter(|case| !case.passed()) {
            case.write(text);
            let _ = writeln!(text);
        }
    }

    /// Writes the number of passed and failed cases, the time, and the slowest cases.
    pub(crate) fn write_summary(&self, text: &mut Text) {
        let (all, failed) = (self.cases.len(), self.failed());
        let passed = format!("{} passed", all - failed);
        if failed == 0 {
            text.paint(Color::Good, &passed);
        } else {
            text.paint(Color::Bad, &format!("{failed} failed"));
            let _ = write!(text, ", {passed}");
        }
        let _ = writeln!(text, " in {}", time(self.time));
        let mut slowest: Vec<&CaseReport> = self.cases.iter().collect();
        slowest.sort_by_key(|case| std::cmp::Reverse(case.time));
        if all > SLOWEST {
            let _ = writeln!(text, "slowest:");
            for case in slowest.iter().take(SLOWEST) {
                let _ = write!(text, "  ");
                text.paint(Color::Quiet, &case.cost());
                let _ = writeln!(text);
            }
        }
    }

    /// Writes the cost of each case on one line.
    pub(crate) fn write_costs(&self, text: &mut Text) {
        for case in &self.cases {
            let _ = writeln!(text, "  {}", case.cost());
        }
    }
}

impl CaseReport {
    /// Expected and actual values, without colors.
    pub fn text(&self) -> String {
        let mut text = Text::new();
        self.write(&mut text);
        text.into_string()
    }

    /// Time, instructions, memory and name.
    fn cost(&self) -> String {
        format!(
            "{:>8}  {:>11} instructions  {:>6} KiB  {}",
            time(self.time),
            grouped(self.instructions),
            self.memory >> 10,
            self.name
        )
    }

    fn write(&self, text: &mut Text) {
        text.paint(Color::Bad, "FAILED");
        let _ = write!(text, "  ");
        text.paint(Color::Strong, &self.name);
        let _ = write!(text, "\n        ");
        text.paint(
            Color::Quiet,
            &format!("{}:{}", self.file.display(), self.line),
        );
        let _ = writeln!(text);
        for failure in &self.failures {
            failure.write(text, &self.file.display().to_string());
        }
        if !self.reasons.is_empty() || !self.log.is_empty() {
            let _ = writeln!(text);
        }
        for (at, reason) in self.reasons.iter().enumerate() {
            let title = if at == 0 { "reason" } else { "" };
            let _ = writeln!(text, "  {title:>10}  {reason}");
        }
        for (at, line) in self.log.iter().enumerate() {
            let title = if at == 0 { "log" } else { "" };
            let _ = writeln!(text, "  {title:>10}  {}", log_line(line));
        }
    }
}

impl Failure {
    fn write(&self, text: &mut Text, file: &str) {
        let _ = write!(text, "\n    ");
        text.paint(Color::Strong, &self.what);
        if let Some(line) = self.line {
            text.paint(Color::Quiet, &format!("  {file}:{line}"));
        }
        let _ = writeln!(text);
        lines(text, "expected", &self.expected);
        lines(text, "actual", &self.actual);
        if let Some(note) = &self.note {
            lines(text, "", note);
        }
        for line in self.diff.iter().flat_map(|diff| diff.lines()) {
            let _ = write!(text, "      ");
            match line.as_bytes().first() {
                Some(b'-') => text.paint(Color::Bad, line),
                Some(b'+') => text.paint(Color::Good, line),
                _ => {
                    let _ = write!(text, "{line}");
                }
            }
            let _ = writeln!(text);
        }
    }
}

fn lines(text: &mut Text, title: &str, value: &str) {
    let all: Vec<&str> = value.lines().collect();
    for (at, line) in all.iter().take(LONGEST).enumerate() {
        let title = if at == 0 { title } else { "" };
        let _ = writeln!(text, "  {title:>10}  {line}");
    }
    if all.is_empty() {
        let _ = writeln!(text, "  {title:>10}  (empty)");
    }
    if all.len() > LONGEST {
        let _ = writeln!(text, "  {:>10}  … {} more lines", "", all.len() - LONGEST);
    }
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros => format!("{:.2} s", micros as f64 / 1e6),
    }
}
