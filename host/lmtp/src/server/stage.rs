//! Timeouts of the stages of a session.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ConnectionError;
use super::limits::Limits;
use crate::session::Session;

/// The stage of a session, and since when.
#[derive(Debug)]
pub(super) struct Stage {
    kind: Kind,
    /// Start of the connection, of the command that is awaited, or of the content.
    began: Instant,
    /// Last bytes of the content.
    heard: Instant,
    /// Commands when the stage began.
    commands: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Greeting,
    Command,
    Content,
}

impl Kind {
    fn of(session: &Session) -> Self {
        if session.is_in_content() {
            Self::Content
        } else if session.is_greeted() {
            Self::Command
        } else {
            Self::Greeting
        }
    }
}

impl Stage {
    /// The start of a connection.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            kind: Kind::Greeting,
            began: now,
            heard: now,
            commands: 0,
        }
    }

    /// Bytes were used. A complete command begins the wait for the next one.
    pub(super) fn heard(&mut self, session: &Session, now: Instant) {
        let kind = Kind::of(session);
        let is_next = kind == Kind::Command && session.commands() != self.commands;
        if kind != self.kind || is_next {
            self.kind = kind;
            self.began = now;
        }
        self.commands = session.commands();
        self.heard = now;
    }

    /// The client may go on after it had to wait.
    pub(super) fn restart(&mut self, session: &Session, now: Instant) {
        self.kind = Kind::of(session);
        self.began = now;
        self.heard = now;
    }

    /// Time that passed for reasons of this side does not count.
    pub(super) fn exclude(&mut self, time: Duration) {
        self.began += time;
        self.heard += time;
    }

    /// When the client is too late, and the error for that.
    pub(super) fn deadline(&self, limits: &Limits) -> (Instant, ConnectionError) {
        let (since, what, limit) = match self.kind {
            Kind::Greeting => (self.began, "LHLO", limits.greeting_timeout),
            Kind::Command => (self.began, "command", limits.command_timeout),
            Kind::Content => {
                let idle = (self.heard, "more content", limits.data_idle_timeout);
                let whole = (self.began, "end of the content", limits.data_timeout);
                if idle.0 + idle.2 < whole.0 + whole.2 {
                    idle
                } else {
                    whole
                }
            }
        };
        (since + limit, ConnectionError::Timeout { what, limit })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::SessionSettings;

    fn session() -> Session {
        Session::new(Arc::new(SessionSettings::default()), "test".into())
    }

    fn left(stage: &Stage, now: Instant) -> (u64, &'static str) {
        let (deadline, error) = stage.deadline(&Limits::default());
        let ConnectionError::Timeout { what, .. } = error else {
            panic!("a timeout");
        };
        ((deadline - now).as_secs(), what)
    }

    #[test]
    fn a_slow_trickle_ends_no_stage() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut session = session();
        let mut stage = Stage::new(start);
        let mut out = Vec::new();
        let mut say = |session: &mut Session, stage: &mut Stage, text: &str, now| {
            session.receive(&mut text.as_bytes(), &mut out);
            stage.heard(session, now);
        };
        assert_eq!(left(&stage, start), (30, "LHLO"));
        say(&mut session, &mut stage, "NOOP\r\nLH", after(20));
        assert_eq!(left(&stage, after(20)), (10, "LHLO"));
        say(&mut session, &mut stage, "LO a\r\n", after(29));
        assert_eq!(left(&stage, after(29)), (330, "command"));
        say(&mut session, &mut stage, "MAIL FRO", after(129));
        assert_eq!(left(&stage, after(129)), (230, "command"));
        say(&mut session, &mut stage, "M:<>\r\nRC", after(229));
        assert_eq!(left(&stage, after(229)), (330, "command"));
        say(
            &mut session,
            &mut stage,
            "PT TO:<a>\r\nDATA\r\n",
            after(300),
        );
        assert_eq!(left(&stage, after(300)), (180, "more content"));
        for seconds in [400, 500, 1900] {
            say(&mut session, &mut stage, "x", after(seconds));
        }
        assert_eq!(left(&stage, after(1900)), (180, "more content"));
        say(&mut session, &mut stage, "x", after(2000));
        assert_eq!(left(&stage, after(2000)), (100, "end of the content"));
        stage.exclude(Duration::from_secs(50));
        assert_eq!(left(&stage, after(2000)), (150, "end of the content"));
        say(&mut session, &mut stage, "\r\n.\r\n", after(2001));
        assert_eq!(left(&stage, after(2001)), (330, "command"));
        stage.restart(&session, after(2500));
        assert_eq!(left(&stage, after(2500)), (330, "command"));
    }
}
