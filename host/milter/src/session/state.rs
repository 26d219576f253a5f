//! The order of commands.

use crate::codec::Kind;

/// State of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before negotiation.
    Start,
    /// Negotiated; no SMTP client yet.
    Agreed,
    /// An SMTP client, no message.
    Client,
    /// After MAIL.
    Envelope,
    /// After DATA.
    Data,
    /// Within the header.
    Header,
    /// After the header.
    Body,
    /// The message was answered before its end; the MTA sends no more of it.
    Answered,
}

impl State {
    /// The state after a command; `None` if the command is not allowed.
    ///
    /// MAIL starts a message in any state, and ABORT ends one. HELO within an
    /// envelope is an SMTP reset (RFC 5321, section 4.1.4). MTAs of version 2 and 3
    /// do not send DATA.
    pub fn next(self, kind: Kind) -> Option<Self> {
        use State::{Agreed, Answered, Body, Client, Data, Envelope, Header, Start};
        Some(match (kind, self) {
            (Kind::Negotiate, Start) => Agreed,
            (Kind::Quit, _) => self,
            (_, Start) | (Kind::Negotiate, _) => return None,

            (Kind::Macros | Kind::Unknown, state) => state,
            (Kind::Connect, Agreed | Client | Answered) => Client,
            (Kind::Helo, Agreed | Client | Envelope | Answered) => Client,
            (Kind::Mail, _) => Envelope,
            (Kind::Rcpt, Envelope) => Envelope,
            (Kind::Data, Envelope) => Data,
            (Kind::Header, Envelope | Data | Header) => Header,
            (Kind::EndOfHeader, Envelope | Data | Header) => Body,
            (Kind::Body, Body) => Body,
            (Kind::EndOfBody, Body) => Client,
            (Kind::Abort, Agreed) => Agreed,
            (Kind::Abort, _) => Client,
            (Kind::QuitNewConnection, _) => Agreed,
            _ => return None,
        })
    }

    /// A message is open.
    pub fn in_message(self) -> bool {
        matches!(
            self,
            Self::Envelope | Self::Data | Self::Header | Self::Body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Agreed, Answered, Body, Client, Data, Envelope, Header, Start};
    use super::*;

    const STATES: [State; 8] = [
        Start, Agreed, Client, Envelope, Data, Header, Body, Answered,
    ];

    /// Allowed commands: states, and those that follow. All others are rejected.
    const TABLE: &[(Kind, &[(State, State)])] = &[
        (Kind::Negotiate, &[(Start, Agreed)]),
        (
            Kind::Connect,
            &[(Agreed, Client), (Client, Client), (Answered, Client)],
        ),
        (
            Kind::Helo,
            &[
                (Agreed, Client),
                (Client, Client),
                (Envelope, Client),
                (Answered, Client),
            ],
        ),
        (
            Kind::Mail,
            &[
                (Agreed, Envelope),
                (Client, Envelope),
                (Envelope, Envelope),
                (Data, Envelope),
                (Header, Envelope),
                (Body, Envelope),
                (Answered, Envelope),
            ],
        ),
        (Kind::Rcpt, &[(Envelope, Envelope)]),
        (Kind::Data, &[(Envelope, Data)]),
        (
            Kind::Header,
            &[(Envelope, Header), (Data, Header), (Header, Header)],
        ),
        (
            Kind::EndOfHeader,
            &[(Envelope, Body), (Data, Body), (Header, Body)],
        ),
        (Kind::Body, &[(Body, Body)]),
        (Kind::EndOfBody, &[(Body, Client)]),
        (
            Kind::Abort,
            &[
                (Agreed, Agreed),
                (Client, Client),
                (Envelope, Client),
                (Data, Client),
                (Header, Client),
                (Body, Client),
                (Answered, Client),
            ],
        ),
    ];

    #[test]
    fn commands_are_allowed_only_as_in_the_table() {
        for (kind, row) in TABLE {
            for state in STATES {
                let expected = row
                    .iter()
                    .find(|(from, _)| *from == state)
                    .map(|(_, to)| *to);
                assert_eq!(state.next(*kind), expected, "{kind:?} in {state:?}");
            }
        }
    }

    #[test]
    fn macros_and_unknown_commands_keep_the_state_after_negotiation() {
        for state in STATES {
            let expected = (state != Start).then_some(state);
            assert_eq!(state.next(Kind::Macros), expected);
            assert_eq!(state.next(Kind::Unknown), expected);
        }
    }

    #[test]
    fn quit_may_come_at_any_time() {
        for state in STATES {
            assert!(state.next(Kind::Quit).is_some());
            let expected = (state != Start).then_some(Agreed);
            assert_eq!(state.next(Kind::QuitNewConnection), expected);
        }
    }
}
