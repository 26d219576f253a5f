//! Limits and timeouts of a server.

use std::time::Duration;

use crate::session::SessionSettings;

/// Limits and timeouts of a server. The timeouts fit those of Postfix's lmtp(8).
///
/// ```
/// let mut limits = waxseal_lmtp::Limits::default();
/// limits.connections = 400;
/// limits.session.message_size = 50 << 20;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Name of this host, and limits of a message.
    pub session: SessionSettings,
    /// Open connections on all listeners together. Further ones wait. Postfix opens
    /// one for each message that it delivers at the same time.
    pub connections: usize,
    /// Bytes of memory for all messages at one time, those included that handlers
    /// hold. Not used if the server shares a budget
    /// ([`Server::bind_with_budget`](super::Server::bind_with_budget)).
    pub memory: usize,
    /// How long a message waits for memory; then each recipient gets 452. Shorter
    /// than the client's timeout for sending (Postfix: `lmtp_data_xfer_timeout`,
    /// 180 s).
    pub memory_wait: Duration,
    /// Time from the connection to LHLO, which clients send at once. Until then a
    /// connection is closed if others need its slot.
    pub greeting_timeout: Duration,
    /// Time for a whole command line, from the last reply on. A slow trickle of bytes
    /// is not a command. RFC 5321 (4.5.3.2.7) has 5 minutes; Postfix keeps an idle
    /// connection for less.
    pub command_timeout: Duration,
    /// Longest time without bytes while content is received (RFC 5321, 4.5.3.2.5:
    /// 3 minutes).
    pub data_idle_timeout: Duration,
    /// Longest time for the whole content, without the time that it waits for
    /// memory.
    pub data_timeout: Duration,
    /// Longest time for the client to read a reply.
    pub write_timeout: Duration,
    /// Time from the end of a message to its last reply; recipients without one then
    /// get 451. Shorter than the client's (Postfix: `lmtp_data_done_timeout`, 600 s),
    /// which would try again while the handler still works.
    pub handler_timeout: Duration,
    /// How long a handler may go on after that, before it is dropped.
    pub handler_grace: Duration,
    /// How long a shutdown waits for open messages.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: SessionSettings::default(),
            connections: 400,
            memory: 512 << 20,
            memory_wait: Duration::from_secs(60),
            greeting_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(330),
            data_idle_timeout: Duration::from_secs(180),
            data_timeout: Duration::from_secs(1800),
            write_timeout: Duration::from_secs(60),
            handler_timeout: Duration::from_secs(540),
            handler_grace: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(60),
        }
    }
}
