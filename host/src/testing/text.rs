//! Reports for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::{CaseReport, Failure, Report};
use crate::figures::grouped;
use crate::policy::{LogLevel, LogLine};

/// How many of the slowest cases a summary names.
const SLOWEST: usize = 3;

/// Lines of what came that are shown; a message may have thousands.
const LONGEST: usize = 30;

impl Report {
    /// The failures, and the summary: without colours, for logs.
    pub fn text(&self) -> String {
        format!("{}{}", self.failures(false), self.summary(false))
    }

    /// Every case that failed: what was expected, what came, and why.
    pub fn failures(&self, colour: bool) -> String {
        let mut text = String::new();
        for case in self.cases.iter().filter(|case| !case.passed()) {
            case.write(&mut text, &Paint { colour });
            text.push('\n');
        }
        text
    }

    /// How many passed and failed, how long it took, and what took longest.
    pub fn summary(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let (all, failed) = (self.cases.len(), self.failed());
        let mut text = String::new();
        let passed = format!("{} passed", all - failed);
        let counts = if failed == 0 {
            paint.good(&passed)
        } else {
            format!("{}, {passed}", paint.bad(&format!("{failed} failed")))
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{counts} in {}", time(self.time));
        let mut slowest: Vec<&CaseReport> = self.cases.iter().collect();
        slowest.sort_by_key(|case| std::cmp::Reverse(case.time));
        if all > SLOWEST {
            let _ = writeln!(text, "slowest:");
            for case in slowest.iter().take(SLOWEST) {
                let _ = writeln!(text, "  {}", paint.quiet(&case.cost()));
            }
        }
        text
    }

    /// A line for each case: what it took.
    pub fn costs(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let _ = writeln!(text, "  {}", case.cost());
        }
        text
    }
}

impl CaseReport {
    /// What was expected and what came, without colours.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, &Paint { colour: false });
        text
    }

    /// What it took, and its name.
    fn cost(&self) -> String {
        format!(
            "{:>8}  {:>11} instructions  {:>6} KiB  {}",
            time(self.time),
            grouped(self.instructions),
            self.memory >> 10,
            self.name
        )
    }

    fn write(&self, text: &mut String, paint: &Paint) {
        let _ = writeln!(
            text,
            "{}  {}",
            paint.bad("FAILED"),
            paint.strong(&self.name)
        );
        let place = format!("{}:{}", self.file.display(), self.line);
        let _ = writeln!(text, "        {}", paint.quiet(&place));
        for failure in &self.failures {
            failure.write(text, &self.file.display().to_string(), paint);
        }
        if !self.reasons.is_empty() || !self.log.is_empty() {
            text.push('\n');
        }
        for (at, reason) in self.reasons.iter().enumerate() {
            let title = if at == 0 { "because" } else { "" };
            let _ = writeln!(text, "  {title:>10}  {reason}");
        }
        for (at, line) in self.log.iter().enumerate() {
            let title = if at == 0 { "log" } else { "" };
            let _ = writeln!(text, "  {title:>10}  {}", log_line(line));
        }
    }
}

impl Failure {
    fn write(&self, text: &mut String, file: &str, paint: &Paint) {
        let line = self.line.map(|line| format!("  {file}:{line}"));
        let place = paint.quiet(&line.unwrap_or_default());
        let _ = writeln!(text, "\n    {}{place}", paint.strong(&self.what));
        lines(text, "expected", &self.expected);
        lines(text, "came", &self.came);
        if let Some(note) = &self.note {
            lines(text, "", note);
        }
        for line in self.diff.iter().flat_map(|diff| diff.lines()) {
            let line = match line.as_bytes().first() {
                Some(b'-') => paint.bad(line),
                Some(b'+') => paint.good(line),
                _ => line.to_owned(),
            };
            let _ = writeln!(text, "      {line}");
        }
    }
}

fn lines(text: &mut String, title: &str, value: &str) {
    let all: Vec<&str> = value.lines().collect();
    for (at, line) in all.iter().take(LONGEST).enumerate() {
        let title = if at == 0 { title } else { "" };
        let _ = writeln!(text, "  {title:>10}  {line}");
    }
    if all.is_empty() {
        let _ = writeln!(text, "  {title:>10}  nothing");
    }
    if all.len() > LONGEST {
        let _ = writeln!(text, "  {:>10}  … {} lines more", "", all.len() - LONGEST);
    }
}

/// A line of the policy's log.
pub(super) fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    format!("{level}: {}", line.text)
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// Colours, where they are wanted.
struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn strong(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn quiet(&self, text: &str) -> String {
        self.with("2", text)
    }
}
