//! What one instance has of the host: the message, the facts, its log, and
//! what is left of its budgets.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::error::Overtime;
use super::facts::Facts;
use super::limits::{self, MemoryLimit};
use super::wasi::{self, Stderr};
use crate::message::Message;
use crate::pool::on_low_priority_thread;
use crate::work::{self, Bounds, Cause};

/// Seed of an instance's random source.
pub type Seed = [u8; 32];

/// How bad a line of the policy's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the policy's author.
    Debug,
    /// Worth a line.
    Info,
    /// Somebody should look.
    Warn,
    /// Something failed; panic texts come as these.
    Error,
}

/// A line of the policy's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How bad it is.
    pub level: LogLevel,
    /// The text, one line.
    pub text: String,
}

/// Data of one store.
pub(super) struct State {
    pub(super) subject: Option<DecisionInput>,
    pub(super) memory: MemoryLimit,
    pub(super) log: Log,
    /// Bytes that may still be copied into the guest.
    pub(super) to_guest: usize,
    /// Work on the message that the host may do for it.
    pub(super) host: HostWork,
    table: ResourceTable,
    wasi: Option<Box<Wasi>>,
    moment: DeterministicEnv,
}

/// What a guest that asks for WASI gets.
struct Wasi {
    context: WasiCtx,
    stderr: Stderr,
}

/// What is decided on.
#[derive(Clone)]
pub(super) struct DecisionInput {
    pub(super) message: Arc<Message>,
    pub(super) facts: Arc<dyn Facts>,
}

/// What the host may still do with the message for one decision, at the guest's
/// request. The guest cannot interrupt it, so it is bounded by itself.
#[derive(Default)]
pub(super) struct HostWork {
    bounds: Bounds,
    /// Steps left on the thread of whoever asked for the decision; none where
    /// they are not limited.
    short: Option<u64>,
    too_long: bool,
}

impl HostWork {
    /// Work within these bounds, as long as it is short where it is not done by
    /// a low-priority thread.
    pub(super) fn short(bounds: Bounds) -> Self {
        Self {
            bounds,
            short: Some(limits::HOST_STEPS),
            too_long: false,
        }
    }

    /// Work within these bounds.
    pub(super) fn whole(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether the decision has to be begun again where work may take longer.
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Does some work on the message.
    ///
    /// # Errors
    ///
    /// When the time of the decision is over, or it has to be begun again.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> Result<T, Overtime> {
        let short = self.short.filter(|_| !on_low_priority_thread());
        let bounds = Bounds {
            steps: short,
            ..self.bounds.clone()
        };
        match work::run(&bounds, || work::count(work)) {
            Ok((done, steps)) => {
                if let Some(left) = &mut self.short {
                    *left = left.saturating_sub(steps);
                }
                Ok(done)
            }
            Err(exhausted) => {
                self.too_long = exhausted.cause == Cause::Steps;
                Err(Overtime)
            }
        }
    }
}

/// All that a guest can learn of time and chance: the same moment and seed give
/// the same decision, bit for bit.
#[derive(Clone, Copy)]
pub(super) struct DeterministicEnv {
    pub(super) since_epoch: Duration,
    pub(super) seed: Seed,
}

impl State {
    pub(super) fn new(
        subject: Option<DecisionInput>,
        memory: usize,
        moment: DeterministicEnv,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES);
        Self {
            subject,
            memory: MemoryLimit::new(memory),
            log: Log::default(),
            to_guest: limits::BYTES_TO_GUEST,
            host: HostWork::default(),
            table,
            wasi: None,
            moment,
        }
    }

    /// Whether the guest holds a handle of the host's.
    pub(super) fn holds_handles(&self) -> bool {
        !self.table.is_empty()
    }

    /// What the guest wrote to its stderr, as far as it was kept.
    pub(super) fn stderr(&self) -> String {
        let wasi = self.wasi.as_ref();
        wasi.map(|wasi| wasi.stderr.text()).unwrap_or_default()
    }

    /// The log, with what the guest wrote to its stderr at the end: that is
    /// where other languages put their words.
    pub(super) fn into_log(mut self) -> Vec<LogLine> {
        for line in self.stderr().lines().filter(|line| !line.trim().is_empty()) {
            self.log.write(LogLevel::Info, line);
        }
        self.log.into_lines()
    }
}

impl WasiView for State {
    /// Made when it is first asked for: most policies never do, and the making
    /// costs more than an instance.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| {
            let stderr = Stderr::default();
            let context = wasi::context(self.moment, stderr.clone());
            Box::new(Wasi { context, stderr })
        });
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut self.table,
        }
    }
}

/// The log of one decision, capped.
#[derive(Default)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: usize,
}

impl Log {
    pub(super) fn write(&mut self, level: LogLevel, text: &str) {
        // An error is kept whatever went before it: it may be the panic text.
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

    /// The last line, if it is an error: where a guest gave up by itself, the
    /// text of its panic.
    pub(super) fn last_words(&self) -> Option<&str> {
        let line = self.lines.last()?;
        (line.level == LogLevel::Error).then_some(&line.text)
    }

    fn into_lines(mut self) -> Vec<LogLine> {
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

/// Text of a guest's as one line: control characters could forge further lines
/// of our log.
pub(super) fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_capped_and_says_so() {
        let mut log = Log::default();
        for _ in 0..1000 {
            log.write(LogLevel::Info, "line\nforged");
        }
        log.write(LogLevel::Error, "the panic text");
        assert_eq!(log.last_words(), Some("the panic text"));
        let lines = log.into_lines();
        assert_eq!(lines.len(), limits::LOG_LINES + 2);
        assert_eq!(lines[0].text, "line forged");
        assert!(lines[limits::LOG_LINES + 1].text.starts_with("936 more"));
    }
}
