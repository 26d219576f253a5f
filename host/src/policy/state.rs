//! What one instance has of the host: the message, the facts, its log, and a
//! WASI in which everything is denied.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{io, pin::Pin, time::Duration};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

use super::facts::Facts;
use super::limits::{self, MemoryLimit};
use crate::message::Message;

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
    pub(super) subject: Option<Subject>,
    pub(super) memory: MemoryLimit,
    pub(super) log: Log,
    /// Bytes that may still be copied into the guest.
    pub(super) to_guest: usize,
    table: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    moment: Moment,
}

/// What is decided on.
pub(super) struct Subject {
    pub(super) message: Arc<Message>,
    pub(super) facts: Arc<dyn Facts>,
}

/// All that a guest can learn of time and chance: the same moment and seed give
/// the same decision, bit for bit.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) since_epoch: Duration,
    pub(super) seed: Seed,
}

impl State {
    pub(super) fn new(subject: Option<Subject>, memory: usize, moment: Moment) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES);
        Self {
            subject,
            memory: MemoryLimit::new(memory),
            log: Log::default(),
            to_guest: limits::BYTES_TO_GUEST,
            table,
            wasi: None,
            stderr: Arc::default(),
            moment,
        }
    }

    /// Whether the guest holds a handle of the host's.
    pub(super) fn holds_handles(&self) -> bool {
        !self.table.is_empty()
    }

    /// What the guest wrote to its stderr, as far as it was kept.
    pub(super) fn stderr(&self) -> String {
        let bytes = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

impl WasiView for State {
    /// Made when it is first asked for: most policies never do, and the making
    /// costs more than an instance.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| {
            let context = denied_wasi(self.moment, Arc::clone(&self.stderr));
            Box::new(context)
        });
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}

fn denied_wasi(moment: Moment, stderr: Arc<Mutex<Vec<u8>>>) -> WasiCtx {
    let random = |purpose: u8| {
        let mut seed = moment.seed;
        seed[31] ^= purpose;
        StdRng::from_seed(seed)
    };
    let mut insecure_seed = [0; 16];
    insecure_seed.copy_from_slice(&moment.seed[..16]);
    WasiCtxBuilder::new()
        .secure_random(random(0))
        .insecure_random(random(1))
        .insecure_random_seed(u128::from_le_bytes(insecure_seed))
        .max_random_size(64 << 10)
        .wall_clock(FixedClock(moment.since_epoch))
        .monotonic_clock(FixedClock(Duration::ZERO))
        .stderr(Captured(stderr))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

struct FixedClock(Duration);

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// stderr: what is too much is dropped, since a stream that fails aborts the
/// guest before its panic text is out.
struct Captured(Arc<Mutex<Vec<u8>>>);

impl IsTerminal for Captured {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Captured {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::LOG_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
        // Control characters could forge further lines of the log.
        let text: String = text[..cut]
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.bytes += text.len();
        self.lines.push(LogLine { level, text });
    }

    /// The last line of level error: where a guest trapped, its panic text.
    pub(super) fn last_error(&self) -> Option<&str> {
        let line = self
            .lines
            .iter()
            .rev()
            .find(|line| line.level == LogLevel::Error)?;
        Some(&line.text)
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
        assert_eq!(log.last_error(), Some("the panic text"));
        let lines = log.into_lines();
        assert_eq!(lines.len(), limits::LOG_LINES + 2);
        assert_eq!(lines[0].text, "line forged");
        assert!(lines[limits::LOG_LINES + 1].text.starts_with("936 more"));
    }
}
