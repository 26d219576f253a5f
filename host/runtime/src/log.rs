//! The log of one decision: lines that the policy wrote, within limits.

use super::limits;

/// Severity of a line of the policy's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the policy's author.
    Debug,
    /// Informational.
    Info,
    /// A possible problem.
    Warn,
    /// A failure; panic texts have this level.
    Error,
}

/// A line of the policy's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// The text, one line.
    pub text: String,
}

/// The log of one decision, with limited size.
#[derive(Default)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: usize,
}

impl Log {
    pub(super) fn write(&mut self, level: LogLevel, text: &str) {
        // An error is always logged: it may be the panic text.
        let over = self.lines.len() >= limits::LOG_LINES || self.bytes >= limits::LOG_BYTES;
        if over && (level != LogLevel::Error || self.lines.len() >= 2 * limits::LOG_LINES) {
            self.dropped += 1;
            return;
        }
        let room = limits::LOG_BYTES.saturating_sub(self.bytes).max(1 << 10);
        let cut = text.floor_char_boundary(room);
        let text = one_line(&text[..cut]);
        self.bytes += text.len();
        self.lines.push(LogLine { level, text });
    }

    /// The last line, if it is an error: the panic text of a guest that aborted.
    pub(super) fn final_error(&self) -> Option<&str> {
        let line = self.lines.last()?;
        (line.level == LogLevel::Error).then_some(&line.text)
    }

    pub(super) fn into_lines(mut self) -> Vec<LogLine> {
        if self.dropped > 0 {
            let text = format!("{} more lines of this policy were dropped", self.dropped);
            self.lines.push(LogLine {
                level: LogLevel::Warn,
                text,
            });
        }
        self.lines
    }
}

/// A guest's text on one line: control characters could forge lines of Waxseal's log.
pub(super) fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_limited_and_counts_dropped_lines() {
        let mut log = Log::default();
        for _ in 0..1000 {
            log.write(LogLevel::Info, "line\nforged");
        }
        log.write(LogLevel::Error, "the panic text");
        assert_eq!(log.final_error(), Some("the panic text"));
        let lines = log.into_lines();
        assert_eq!(lines.len(), limits::LOG_LINES + 2);
        assert_eq!(lines[0].text, "line forged");
        assert!(lines[limits::LOG_LINES + 1].text.starts_with("936 more"));
    }
}
