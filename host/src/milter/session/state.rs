//! Which step may follow which.

use crate::milter::codec::Kind;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is agreed on yet.
    Start,
    /// Agreed; no SMTP client yet.
    Agreed,
    /// An SMTP client is there, no message is.
    Client,
    /// MAIL was given.
    Envelope,
    /// DATA was given.
    Data,
    /// Header fields are coming.
    Header,
    /// The header is complete.
    Body,
    /// The message was answered before its end; the MTA owes us nothing more
    /// about it.
    Answered,
}

impl State {
    /// Where a command leads, or none where it has no place.
    ///
    /// MAIL begins a message wherever the MTA left the one before; ABORT gives
    /// one up. HELO in the middle of an envelope is an SMTP reset (RFC 5321,
    /// section 4.1.4). MTAs of version 2 and 3 have no DATA.
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

    /// A message is under way.
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

    /// Every step that has a place: where, and where it leads. What is not in
    /// the table is refused.
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
    fn each_step_follows_only_those_of_the_table() {
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
    fn macros_and_unknown_commands_change_nothing_but_need_an_agreement() {
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
