//! Execution of commands (RFC 2033, 4; RFC 5321, 4.1.4).

use std::mem;
use std::sync::Arc;

use super::content::Content;
use super::machine::Session;
use super::state::{Answer, State};
use super::transaction::Transaction;
use crate::command::Command;
use crate::envelope::{Address, MailParameters, RcptParameters, XForward};
use crate::reply::Reply;

impl Session {
    pub(super) fn execute(&mut self, command: Command) -> Answer {
        match command {
            Command::Mail(sender, parameters) => self.mail(sender, parameters),
            Command::Rcpt(recipient, parameters) => self.rcpt(recipient, parameters),
            Command::Data => self.data(),
            Command::Rset => {
                if !matches!(self.state, State::Start) {
                    self.reset();
                }
                Answer::Accepted(ok())
            }
            Command::Vrfy => Answer::Accepted(Reply::fixed(
                252,
                (2, 0, 0),
                "cannot verify; send the message",
            )),
            Command::XForward(attributes) => {
                if !matches!(self.state, State::Ready) {
                    let text = "XFORWARD follows LHLO, outside of a transaction";
                    return Answer::Violation(sequence(text));
                }
                for attribute in attributes {
                    self.forwarded.set(attribute);
                }
                Answer::Accepted(ok())
            }
            // LHLO and QUIT are answered elsewhere.
            Command::Noop | Command::Lhlo(_) | Command::Quit => Answer::Accepted(ok()),
        }
    }

    pub(super) fn lhlo(&mut self, client: &str, out: &mut Vec<u8>) {
        self.reset();
        self.client = Arc::from(client);
        let lines = [
            &*self.name(),
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
        ]
        .map(|line| format!("250-{line}\r\n"));
        out.extend_from_slice(lines.concat().as_bytes());
        out.extend_from_slice(format!("250 SIZE {}\r\n", self.settings.message_size).as_bytes());
    }

    fn mail(&mut self, sender: Option<Address>, parameters: MailParameters) -> Answer {
        match self.state {
            State::Ready => {}
            State::Start => return Answer::Violation(sequence("LHLO first")),
            _ => return Answer::Violation(sequence("nested MAIL")),
        }
        let limit = u64::try_from(self.settings.message_size).unwrap_or(u64::MAX);
        if parameters.size.is_some_and(|size| size > limit) {
            return Answer::Refused(Reply::fixed(
                552,
                (5, 3, 4),
                "message exceeds the size limit",
            ));
        }
        self.state = State::Envelope(Transaction::new(sender, parameters));
        self.follows_refused = false;
        Answer::Accepted(Reply::fixed(250, (2, 1, 0), "Ok"))
    }

    fn rcpt(&mut self, recipient: Address, parameters: RcptParameters) -> Answer {
        let State::Envelope(transaction) = &mut self.state else {
            return self.out_of_sequence("MAIL first");
        };
        if transaction.recipients.len() >= self.settings.recipients {
            // RFC 5321, 4.5.3.1.10: the client sends the others in another
            // transaction.
            return Answer::Refused(Reply::fixed(452, (4, 5, 3), "too many recipients"));
        }
        transaction.add(recipient, parameters);
        Answer::Accepted(Reply::fixed(250, (2, 1, 5), "Ok"))
    }

    /// RCPT or DATA that a client sent together with a MAIL that was refused is no
    /// violation (RFC 2920).
    fn out_of_sequence(&self, text: &'static str) -> Answer {
        if self.follows_refused {
            Answer::Refused(sequence(text))
        } else {
            Answer::Violation(sequence(text))
        }
    }

    fn data(&mut self) -> Answer {
        match mem::replace(&mut self.state, State::Ended) {
            State::Envelope(transaction) if !transaction.recipients.is_empty() => {
                let limit = self.settings.message_size;
                let content = Content::new(limit, self.settings.bare_newlines);
                self.state = State::Content(transaction, content);
                Answer::Accepted(Reply::plain(354, "end data with <CR><LF>.<CR><LF>"))
            }
            // RFC 2033, 4.2: all recipients were refused.
            state @ State::Envelope(_) => {
                self.state = state;
                Answer::Refused(sequence("no valid recipients"))
            }
            state => {
                self.state = state;
                self.out_of_sequence("no valid recipients")
            }
        }
    }

    fn reset(&mut self) {
        self.state = State::Ready;
        self.follows_refused = false;
        self.forwarded = XForward::default();
    }
}

fn ok() -> Reply {
    Reply::fixed(250, (2, 0, 0), "Ok")
}

fn sequence(text: &'static str) -> Reply {
    Reply::fixed(503, (5, 5, 1), text)
}
