//! Limits and timeouts of a server.

use std::time::Duration;

use waxseal_core::decision::{Reply, Verdict};
use waxseal_core::message;

/// Limits and timeouts of a server.
///
/// ```
/// let mut limits = waxseal_milter::Limits::default();
/// limits.connections = 200;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Open connections on all listeners together. Further ones wait.
    pub connections: usize,
    /// Time for option negotiation and CONNECT, which MTAs send at once. Until
    /// then a connection is closed if others need its slot.
    pub first_command_timeout: Duration,
    /// Limits of one message, unless [`Filter::limits`](super::super::Filter::limits)
    /// returns others.
    pub message: message::Limits,
    /// Time from the end of a message to its response, unless
    /// [`Filter::limits`](super::super::Filter::limits) returns another.
    pub processing_timeout: Duration,
    /// Bytes of memory for all messages at one time.
    pub memory: usize,
    /// How long a message waits for memory. Shorter than the MTA's timeout
    /// (Postfix: `milter_content_timeout`, 300 s).
    pub memory_wait: Duration,
    /// Longest time without a command. A connection lasts as long as the SMTP
    /// session behind it, and closing it earlier fails the next message; libmilter
    /// allows 7,210 s.
    pub idle_timeout: Duration,
    /// Longest time for the MTA to read a reply.
    pub write_timeout: Duration,
    /// Interval of progress replies while a message is processed. Shorter than the
    /// MTA's timeout for a command (Postfix: `milter_command_timeout`, 30 s).
    pub progress_interval: Duration,
    /// How long a shutdown waits for open messages.
    pub shutdown_timeout: Duration,
    /// How long a shutdown waits for complete messages that are being processed.
    pub shutdown_processing_timeout: Duration,
    /// SMTP reply for a message that fails for an internal reason; a 4yz reply.
    pub failure_reply: Reply,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            first_command_timeout: Duration::from_secs(10),
            message: message::Limits::default(),
            processing_timeout: Duration::from_secs(30),
            memory: 512 << 20,
            memory_wait: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(7210),
            write_timeout: Duration::from_secs(60),
            progress_interval: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            shutdown_processing_timeout: Duration::from_secs(2),
            failure_reply: Reply {
                code: 451,
                enhanced: "4.7.1".into(),
                text: "Service unavailable - try again later".into(),
            },
        }
    }
}

impl Limits {
    /// The verdict on a message that fails for an internal reason.
    pub(super) fn failure(&self) -> Verdict {
        Verdict::Defer(self.failure_reply.clone())
    }
}
