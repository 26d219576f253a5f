//! The state machine of one connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use std::time::SystemTime;

use super::collect::{Collect, IncomingMessage};
use super::context::{ClientContext, MessageContext};
use super::error::ProtocolError;
use super::message::{Collected, EndOfMessage};
use super::state::State;
use crate::codec::{Arguments, Command, Frame, Kind, OptNeg, Reply};
use crate::filter::{Filter, Interest};
use crate::listener::Listener;
use crate::negotiation::Negotiated;
use crate::response;
use crate::submission::EnvelopeInfo;
use waxseal_core::decision::{self, Verdict};
use waxseal_core::message::Limits;

/// What the caller does next.
pub enum Step<F: Filter> {
    /// Pass the next frame.
    Continue,
    /// Process the message, write the response, then continue.
    Decide(Box<EndOfMessage<F>>),
    /// Close the connection.
    Close,
}

impl<F: Filter> fmt::Debug for Step<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Decide(message) => f.debug_tuple("Decide").field(message).finish(),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// A connection of an MTA.
pub struct Session<F: Filter> {
    filter: Arc<F>,
    listener: Arc<Listener>,
    pub(super) limits: Limits,
    now: fn() -> SystemTime,
    state: State,
    negotiated: Option<Negotiated>,
    client: ClientContext,
    known: MessageContext,
    message: Option<IncomingMessage<F::Transaction>>,
    /// Processing timeout of the message, if the filter sets one.
    time: Option<Duration>,
}

impl<F: Filter> fmt::Debug for Session<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("listener", &self.listener)
            .field("state", &self.state)
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

impl<F: Filter> Session<F> {
    /// A new connection.
    pub fn new(
        filter: Arc<F>,
        listener: Arc<Listener>,
        limits: Limits,
        now: fn() -> SystemTime,
    ) -> Self {
        Self {
            filter,
            listener,
            limits,
            now,
            state: State::Start,
            negotiated: None,
            client: ClientContext::default(),
            known: MessageContext::default(),
            message: None,
            time: None,
        }
    }

    /// The current state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Queue id of the open message; empty while it is unknown.
    pub fn queue_id(&self) -> &str {
        self.known.queue_id.as_deref().unwrap_or_default()
    }

    /// Bytes of memory for the open message.
    pub fn held(&self) -> usize {
        self.message.as_ref().map_or(0, IncomingMessage::held)
    }

    /// Discards what was collected of the open message; it will be answered with this
    /// verdict.
    pub fn fail_with(&mut self, verdict: Verdict) {
        if let Some(message) = &mut self.message {
            message.fail_with(verdict);
        }
    }

    /// Takes one frame, and appends replies to `replies`.
    ///
    /// # Errors
    ///
    /// The MTA violated the protocol: the connection must be closed.
    pub fn step(
        &mut self,
        frame: Frame<'_>,
        replies: &mut Vec<u8>,
    ) -> Result<Step<F>, ProtocolError> {
        match frame {
            Frame::Body { data, last } => {
                self.enter(Kind::Body)?;
                if let Some(message) = &mut self.message {
                    message.body(data);
                }
                self.check_limits();
                if last {
                    self.reply_to_command(Kind::Body, replies);
                }
                Ok(Step::Continue)
            }
            Frame::Whole { name, data } => self.command(Command::decode(name, data)?, replies),
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        replies: &mut Vec<u8>,
    ) -> Result<Step<F>, ProtocolError> {
        let kind = command.kind();
        if matches!(kind, Kind::Data | Kind::Header | Kind::EndOfHeader) {
            self.ask_interest();
        }
        self.enter(kind)?;
        match command {
            Command::Negotiate(offer) => self.negotiate(offer, replies)?,
            Command::Macros(macros) if matches!(macros.stage, b'C' | b'H') => {
                self.client.macros(&macros);
            }
            Command::Macros(macros) => self.known.macros(&macros),
            Command::Connect { name, address } => {
                self.forget_message();
                self.client.connect(name, address);
            }
            Command::Helo(name) => {
                self.forget_message();
                self.client.helo(name);
            }
            Command::Mail(arguments) => self.mail(&arguments),
            Command::Rcpt(arguments) => self.rcpt(&arguments),
            Command::Header { name, value } => self.field(name, value),
            Command::EndOfHeader => {
                if let Some(message) = &mut self.message {
                    message.end_of_header();
                }
            }
            Command::EndOfBody(data) => return Ok(self.end_of_message(data, replies)),
            Command::Abort => self.forget_message(),
            Command::QuitNewConnection => {
                self.forget_message();
                self.client = ClientContext::default();
            }
            Command::Quit => return Ok(Step::Close),
            Command::Data | Command::Unknown(_) => {}
        }
        self.reply_to_command(kind, replies);
        Ok(Step::Continue)
    }

    fn enter(&mut self, kind: Kind) -> Result<(), ProtocolError> {
        let state = self.state;
        self.state = state
            .next(kind)
            .ok_or(ProtocolError::UnexpectedCommand { kind, state })?;
        Ok(())
    }

    fn negotiate(&mut self, offer: OptNeg, replies: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let negotiated = Negotiated::new(offer, self.listener.early_accept)?;
        negotiated.reply().encode_short(replies);
        self.negotiated = Some(negotiated);
        Ok(())
    }

    fn mail(&mut self, arguments: &Arguments<'_>) {
        self.known.begin();
        let transaction = self.filter.begin(&self.listener);
        let (limits, time) = match self.filter.limits(&transaction) {
            Some((limits, time)) => (limits, Some(time)),
            None => (self.limits, None),
        };
        self.time = time;
        self.message = Some(IncomingMessage::new(
            transaction,
            (self.now)(),
            self.client.client(&self.known),
            arguments,
            limits,
        ));
    }

    fn rcpt(&mut self, arguments: &Arguments<'_>) {
        let mailer = self.known.take_mailer();
        if let Some(message) = &mut self.message
            && !matches!(message.collect, Collect::Failed(_))
        {
            message.recipient(arguments.address, mailer);
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        let leading_space = self
            .negotiated
            .is_some_and(|negotiated| negotiated.leading_space());
        if let Some(message) = &mut self.message {
            message.field(name, value, leading_space);
        }
        self.check_limits();
    }

    /// Asks the filter how much of the message to collect, once, when the envelope is
    /// complete.
    fn ask_interest(&mut self) {
        let Some(message) = &mut self.message else {
            return;
        };
        if self.state != State::Envelope || !matches!(message.collect, Collect::Undecided) {
            return;
        }
        self.known.complete(&mut message.client);
        let interest = self.filter.wants(
            &message.transaction,
            &EnvelopeInfo {
                listener: &self.listener,
                client: &message.client,
                submitted_locally: self.client.submitted_locally,
                sender: &message.sender,
                recipients: &message.recipients,
            },
        );
        message.collect = match interest {
            Interest::Decide => Collect::All,
            Interest::Header => Collect::Header,
            Interest::Pass => Collect::Nothing,
        };
        self.check_limits();
    }

    /// Fails a message that exceeds a limit.
    fn check_limits(&mut self) {
        if let Some(message) = &mut self.message
            && let Some(excess) = message.excess()
        {
            let queue_id = self.known.queue_id.as_deref().unwrap_or_default();
            tracing::warn!(queue_id, "message rejected: {excess}");
            // A message that is collected for its header alone has been accepted
            // before: it must not bounce.
            let verdict = match (Verdict::from(excess), &message.collect) {
                (Verdict::Reject(reply), Collect::Header) => Verdict::Defer(decision::Reply {
                    code: 451,
                    enhanced: "4.3.4".to_owned(),
                    ..reply
                }),
                (verdict, _) => verdict,
            };
            message.fail_with(verdict);
        }
    }

    /// Replies to a command if the MTA waits for it. A message whose outcome is known
    /// is answered at once: the MTA need not send the rest.
    fn reply_to_command(&mut self, kind: Kind, replies: &mut Vec<u8>) {
        let Some(negotiated) = self.negotiated else {
            return;
        };
        if kind == Kind::Negotiate || !negotiated.expects_reply(kind) {
            return;
        }
        let in_content = matches!(
            kind,
            Kind::Data | Kind::Header | Kind::EndOfHeader | Kind::Body
        );
        match self.message.as_ref().map(|message| &message.collect) {
            Some(Collect::Nothing) if in_content => {
                Reply::Accept.encode_short(replies);
                self.answered();
            }
            Some(Collect::Failed(verdict)) if in_content => {
                response::encode_failure(verdict, replies);
                self.answered();
            }
            Some(Collect::Header) if kind == Kind::Body && negotiated.skip() => {
                Reply::Skip.encode_short(replies);
            }
            _ => Reply::Continue.encode_short(replies),
        }
    }

    fn answered(&mut self) {
        self.forget_message();
        self.state = State::Answered;
    }

    fn end_of_message(&mut self, data: &[u8], replies: &mut Vec<u8>) -> Step<F> {
        if let Some(message) = &mut self.message {
            message.body(data);
        }
        self.check_limits();
        let (Some(mut message), Some(negotiated)) = (self.message.take(), self.negotiated) else {
            Reply::TemporaryFailure.encode_short(replies);
            return Step::Continue;
        };
        let body_collected = matches!(message.collect, Collect::All);
        match message.collect {
            Collect::Nothing => Reply::Accept.encode_short(replies),
            // Unreachable: the filter is asked at DATA or the header. Fails closed.
            Collect::Undecided => Reply::TemporaryFailure.encode_short(replies),
            Collect::Failed(verdict) => response::encode_failure(&verdict, replies),
            Collect::All | Collect::Header => {
                self.known.complete(&mut message.client);
                let held = message.held();
                let collected = Collected {
                    listener: Arc::clone(&self.listener),
                    queue_id: self.queue_id().to_owned(),
                    mta: self.client.mta(),
                    client: message.client,
                    submitted_locally: self.client.submitted_locally,
                    sender: message.sender,
                    recipients: message.recipients,
                    arrival: message.arrival,
                    bytes: message.bytes,
                    body_collected,
                    header_fields: message.names.len(),
                    delimiters: message.delimiters,
                    held,
                };
                // The context of the message is kept until the next one: log lines
                // about its response need the queue id.
                return Step::Decide(Box::new(EndOfMessage {
                    transaction: message.transaction,
                    collected,
                    time: self.time,
                    names: message.names,
                    negotiated,
                }));
            }
        }
        Step::Continue
    }

    fn forget_message(&mut self) {
        self.message = None;
        self.known = MessageContext::default();
    }
}
