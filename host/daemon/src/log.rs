//! Output of log lines.
//!
//! `tracing` formats an event with the fields of its spans. This module sanitizes it into one line of at
//! most `LONGEST` bytes, whatever a message, a policy or a peer put into its fields.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Map, Value};
use tracing_subscriber::fmt::MakeWriter;

use waxseal_core::printable::{cut, one_line};

/// Maximum length of a line in bytes, including the line feed. More than syslog requires (RFC 5424: 2,048),
/// less than journald splits (48 KiB). The line of a decision has 300 bytes.
pub(crate) const LONGEST: usize = 8 << 10;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Writes events as lines.
#[derive(Clone, Debug)]
pub(crate) struct Lines<W> {
    format: Format,
    /// Creates the writer of a line.
    sink: W,
}

impl<W: Write, F: Fn() -> W> Lines<F> {
    pub(crate) fn new(format: Format, sink: F) -> Self {
        Self { format, sink }
    }
}

impl<'a, W: Write + 'a, F: Fn() -> W + 'a> MakeWriter<'a> for Lines<F> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line {
            format: self.format,
            sink: (self.sink)(),
        }
    }
}

/// Writer of one event.
#[derive(Debug)]
pub(crate) struct Line<W> {
    format: Format,
    sink: W,
}

impl<W: Write> Write for Line<W> {
    /// Each call has one complete event: `tracing-subscriber` writes an event in one call.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = self.format.line(text.trim_end_matches('\n'));
        line.to_mut().push('\n');
        self.sink.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Format {
    fn line(self, event: &str) -> Cow<'_, str> {
        let line = one_line(event);
        // Plus the line feed.
        if line.len() < LONGEST {
            return line;
        }
        match self {
            Self::Text => Cow::Owned(shortened(&line)),
            Self::Json => Cow::Owned(shortened_json(event)),
        }
    }
}

fn shortened(line: &str) -> String {
    let mark = format!(" [cut: {} bytes in all]", line.len());
    let kept = cut(line, LONGEST - 1 - mark.len());
    format!("{kept}{mark}")
}

/// Truncates the strings of the object until it fits.
fn shortened_json(event: &str) -> String {
    let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(event) else {
        return fallback(event.len());
    };
    for most in [4096, 1024, 256, 64] {
        object
            .values_mut()
            .for_each(|value| cut_strings(value, most));
        object.insert("cut".to_owned(), Value::from(event.len()));
        if let Ok(json) = serde_json::to_string(&object)
            && let json = one_line(&json)
            && json.len() < LONGEST
        {
            return json.into_owned();
        }
    }
    fallback(event.len())
}

fn cut_strings(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => *text = cut(text, most).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| cut_strings(value, most)),
        Value::Object(object) => object
            .values_mut()
            .for_each(|value| cut_strings(value, most)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replacement for a line with too many fields.
fn fallback(bytes: usize) -> String {
    format!(
        "{{\"level\":\"WARN\",\"message\":\"log line with too many fields omitted\",\"cut\":{bytes}}}"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use waxseal_core::printable::one_line;

    /// A line break with a forged line after it, and a sequence of a terminal.
    const HOSTILE: &str = "x\r\n2026-11-24T11:00:00Z  INFO forged\0\u{1b}[31mred\u{7f}\u{85}\u{9b}31m\
         \u{2028}\u{202e}\u{200f}\u{feff}\u{e0041}\ty";

    fn is_one_safe_line(text: &str) -> bool {
        let line = text.strip_suffix('\n').unwrap_or(text);
        one_line(line) == line
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of an event with this text in its message, a field, and each field of a span.
    fn written(format: Format, text: &str) -> Vec<String> {
        let kept = Kept::default();
        let sink = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_target(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(Lines::new(format, move || sink.clone()));
        let log = || {
            let span =
                tracing::info_span!("milter", listener = text, peer = %text, queue_id = ?text);
            let _entered = span.enter();
            tracing::info!(queue_id = text, relay = %text, "{text}");
            tracing::warn!(error = text, "fixed words");
        };
        match format {
            Format::Text => tracing::subscriber::with_default(subscriber.finish(), log),
            Format::Json => {
                tracing::subscriber::with_default(
                    subscriber.json().flatten_event(true).finish(),
                    log,
                );
            }
        }
        let bytes = kept.0.lock().expect("lock").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    #[test]
    fn l1_hostile_text_in_any_field_stays_on_its_line_in_both_formats() {
        for format in [Format::Text, Format::Json] {
            let lines = written(format, HOSTILE);
            assert_eq!(lines.len(), 2, "{lines:#?}");
            for line in &lines {
                assert!(is_one_safe_line(line), "{line}");
                assert!(line.contains("\\u001b"), "what it was can be seen: {line}");
            }
        }
        let line = &written(Format::Json, HOSTILE)[0];
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object["message"], HOSTILE);
        assert_eq!(object["span"]["peer"], HOSTILE);
    }

    #[test]
    fn m8_a_line_has_a_longest_length_in_both_formats() {
        for text in ["word ".repeat(200_000), "\u{1b}".repeat(50_000)] {
            for format in [Format::Text, Format::Json] {
                for line in written(format, &text) {
                    assert!(line.len() <= LONGEST, "{} bytes", line.len());
                    assert!(line.contains("cut"), "the cut is marked");
                    if format == Format::Json {
                        let object: Value = serde_json::from_str(&line).expect("JSON");
                        assert_eq!(object["span"]["name"], "milter");
                    }
                }
            }
        }
        let many: Map<String, Value> = (0..2000).map(|n| (n.to_string(), Value::from(n))).collect();
        let line = Format::Json
            .line(&serde_json::to_string(&many).expect("JSON"))
            .into_owned();
        assert!(line.len() < LONGEST);
        assert!(serde_json::from_str::<Value>(&line).is_ok());
    }

    #[test]
    fn l1_ordinary_lines_are_as_they_were() {
        let lines = written(Format::Text, "Grüße");
        assert!(
            lines[0].ends_with("Grüße queue_id=\"Grüße\" relay=Grüße\n"),
            "{lines:?}"
        );
    }
}
