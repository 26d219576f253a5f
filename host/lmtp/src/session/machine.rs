//! The state machine of a session: lines, content and replies.

use std::mem;
use std::sync::Arc;

use super::settings::SessionSettings;
use super::state::{Answer, State};
use crate::command::{Command, CommandError, parse};
use crate::delivery::Delivery;
use crate::envelope::XForward;
use crate::reply::Reply;

/// Longest command line in bytes, CRLF included. RFC 5321 (4.5.3.1.4) has 512; the
/// extensions add 26 (SIZE), 17 (BODY), 10 (SMTPUTF8), and, as ENVID, RET, NOTIFY and
/// ORCPT (RFC 3461: 100 and 500 bytes), about 700. The rest is for addresses longer
/// than the standard's, which Postfix sends twice in RCPT, and the second time
/// encoded.
pub const LONGEST_LINE: usize = 4096;

/// What the caller has to do next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// All input was used: pass more.
    NeedInput,
    /// A message is complete. Call [`Session::reply`] once for each recipient, in
    /// their order; until then no further input is used.
    Message(Box<Delivery>),
    /// The client said QUIT. Call [`Session::goodbye`], write what there is to be
    /// written, and close the connection.
    Quit,
    /// The client makes too many errors: write what there is to be written, and
    /// close the connection.
    Close,
}

/// A session with one client.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<SessionSettings>,
    pub(super) listener: Arc<str>,
    pub(super) client: Arc<str>,
    pub(super) forwarded: XForward,
    pub(super) state: State,
    /// The start of a line of which the end is missing.
    line: Vec<u8>,
    /// The line is too long; what comes up to its end is dropped.
    skipping: bool,
    errors: u32,
    /// The last command outside of a transaction was refused.
    pub(super) follows_refused: bool,
    commands: u64,
}

impl Session {
    /// A session; `listener` is passed on in each [`Delivery`].
    pub fn new(settings: Arc<SessionSettings>, listener: Arc<str>) -> Self {
        Self {
            settings,
            listener,
            client: Arc::from(""),
            forwarded: XForward::default(),
            state: State::Start,
            line: Vec::new(),
            skipping: false,
            errors: 0,
            follows_refused: false,
            commands: 0,
        }
    }

    /// Appends the greeting to `out`.
    pub fn greet(&self, out: &mut Vec<u8>) {
        Reply::plain(220, format!("{} LMTP", self.name())).encode(false, out);
    }

    /// Uses bytes of `input`, and appends replies to `out`. Returns at the first
    /// event; what follows it in `input` is left there.
    pub fn receive(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Event {
        loop {
            match &mut self.state {
                State::Answering { .. } => return Event::NeedInput,
                State::Ended => return Event::Close,
                State::Content(_, content) => {
                    if !content.receive(input) {
                        return Event::NeedInput;
                    }
                    if let Some(delivery) = self.end_of_content(out) {
                        return Event::Message(delivery);
                    }
                }
                State::Start | State::Ready | State::Envelope(_) => {
                    let Some(event) = self.receive_line(input, out) else {
                        return Event::NeedInput;
                    };
                    if !matches!(event, Event::NeedInput) {
                        return event;
                    }
                }
            }
        }
    }

    /// Appends the reply for the next recipient of a complete message. Does nothing
    /// when all have one.
    pub fn reply(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        let State::Answering { missing, utf8 } = &mut self.state else {
            return;
        };
        reply.encode(*utf8, out);
        *missing -= 1;
        if *missing == 0 {
            self.state = State::Ready;
            self.errors = 0;
        }
    }

    /// Refuses the content that is being received: it is dropped, and each recipient
    /// gets the reply at its end.
    pub fn refuse_content(&mut self, reply: &Reply) {
        if let State::Content(_, content) = &mut self.state {
            content.refuse(reply.clone());
        }
    }

    /// Appends the reply to QUIT.
    pub fn goodbye(&mut self, out: &mut Vec<u8>) {
        self.state = State::Ended;
        Reply::fixed(221, (2, 0, 0), "Bye").encode(false, out);
    }

    /// Ends the session for a reason of this side, with 421.
    pub fn close(&mut self, reason: &'static str, out: &mut Vec<u8>) {
        self.state = State::Ended;
        Reply::fixed(421, (4, 3, 2), reason).encode(false, out);
    }

    /// Bytes of memory that the open transaction takes.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Envelope(transaction) => transaction.held,
            State::Content(transaction, content) => transaction.held + content.held(),
            State::Start | State::Ready | State::Answering { .. } | State::Ended => 0,
        }
    }

    /// Bytes of the line whose end is missing.
    #[cfg(test)]
    pub(super) fn line_held(&self) -> usize {
        self.line.len()
    }

    /// LHLO was accepted.
    pub fn is_greeted(&self) -> bool {
        !matches!(self.state, State::Start)
    }

    /// Content is being received.
    pub fn is_in_content(&self) -> bool {
        matches!(self.state, State::Content(..))
    }

    /// MAIL was accepted, and the last recipient has no reply yet.
    pub fn is_in_transaction(&self) -> bool {
        matches!(
            self.state,
            State::Envelope(_) | State::Content(..) | State::Answering { .. }
        )
    }

    /// Lines of commands so far.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// The queue id of the MTA, as far as it is known: for the log.
    pub fn ident(&self) -> &str {
        self.forwarded.ident.as_deref().unwrap_or_default()
    }

    /// Takes a line from the input; `None` if its end is missing.
    fn receive_line(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Event> {
        let end = memchr::memchr(b'\n', input);
        let (start, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        if self.line.len() + start.len() > LONGEST_LINE {
            self.skipping = true;
            self.line = Vec::new();
        }
        if end.is_none() {
            if !self.skipping {
                self.line.extend_from_slice(start);
            }
            return None;
        }
        self.commands += 1;
        let command = if mem::take(&mut self.skipping) {
            Err(CommandError::LongLine)
        } else if self.line.is_empty() {
            read(start)
        } else {
            self.line.extend_from_slice(start);
            read(&mem::take(&mut self.line))
        };
        let answer = match command {
            Ok(Command::Quit) => return Some(Event::Quit),
            Ok(Command::Lhlo(client)) => {
                self.lhlo(&client, out);
                return Some(Event::NeedInput);
            }
            Ok(command) => self.execute(command),
            Err(error) if error.is_violation() => Answer::Violation(error.reply()),
            Err(error) => Answer::Refused(error.reply()),
        };
        match &answer {
            Answer::Accepted(reply) | Answer::Refused(reply) | Answer::Violation(reply) => {
                reply.encode(false, out);
            }
        }
        if !matches!(answer, Answer::Accepted(_)) && matches!(self.state, State::Ready) {
            self.follows_refused = true;
        }
        if matches!(answer, Answer::Violation(_)) {
            self.errors += 1;
            if self.errors >= self.settings.errors {
                self.state = State::Ended;
                Reply::fixed(421, (4, 7, 0), "too many errors").encode(false, out);
                return Some(Event::Close);
            }
        }
        Some(Event::NeedInput)
    }

    /// Ends the content. If it was refused, the replies are appended.
    fn end_of_content(&mut self, out: &mut Vec<u8>) -> Option<Box<Delivery>> {
        let (transaction, content) = match mem::replace(&mut self.state, State::Ready) {
            State::Content(transaction, content) => (transaction, content),
            state => {
                self.state = state;
                return None;
            }
        };
        let forwarded = mem::take(&mut self.forwarded);
        let missing = transaction.recipients.len();
        let utf8 = transaction.parameters.smtputf8;
        match content.finish() {
            Ok(content) => {
                self.state = State::Answering { missing, utf8 };
                let (listener, client) = (Arc::clone(&self.listener), Arc::clone(&self.client));
                Some(Box::new(Delivery::new(
                    (listener, client),
                    transaction.sender,
                    transaction.parameters,
                    transaction.recipients,
                    forwarded,
                    content,
                )))
            }
            Err(reply) => {
                (0..missing).for_each(|_| reply.encode(utf8, out));
                None
            }
        }
    }

    /// The name of this host as one word.
    pub(super) fn name(&self) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        self.settings
            .name
            .chars()
            .take(255)
            .map(|c| if allowed(c) { c } else { '?' })
            .collect()
    }
}

/// Reads a line with its end.
fn read(line: &[u8]) -> Result<Command, CommandError> {
    let line = line.strip_suffix(b"\r\n");
    parse(line.ok_or(CommandError::InvalidLine)?)
}
