//! What a connection agrees on: version, changes, and which steps are answered.

use thiserror::Error;

use super::codec::{Kind, OptNeg, Reply, actions, protocol_flags};

/// Oldest version that is spoken (Sendmail 8.12, Postfix `milter_protocol = 2`).
pub const OLDEST: u32 = 2;

/// Newest version that is spoken (Sendmail 8.14, Postfix since 2.6).
pub const NEWEST: u32 = 6;

/// The changes that we may ask for. Recipients are never taken out.
const WANTED_ACTIONS: u32 = actions::ADD_HEADERS
    | actions::CHANGE_BODY
    | actions::ADD_RECIPIENTS
    | actions::CHANGE_HEADERS
    | actions::QUARANTINE
    | actions::CHANGE_FROM
    | actions::ADD_RECIPIENTS_PARAMETERS
    | actions::SET_MACROS;

/// The steps that need no answer. Each answer is a round trip: with all of them
/// a message costs 2 ms on one connection, with none 0.08 ms.
const WANTED_PROTOCOL_FLAGS: u32 = protocol_flags::NO_UNKNOWN
    | protocol_flags::SKIP
    | protocol_flags::HEADER_LEADING_SPACE
    | protocol_flags::NO_REPLY_CONNECT
    | protocol_flags::NO_REPLY_HELO
    | protocol_flags::NO_REPLY_MAIL
    | protocol_flags::NO_REPLY_RCPT
    | protocol_flags::NO_REPLY_DATA
    | protocol_flags::NO_REPLY_UNKNOWN
    | protocol_flags::NO_REPLY_HEADER
    | protocol_flags::NO_REPLY_END_OF_HEADER
    | protocol_flags::NO_REPLY_BODY;

/// Macros by stage (`SMFIM_…`). An empty list spares the MTA a frame before
/// each command of that stage. The queue id is asked for wherever it can first
/// be known: local submission has it at MAIL, SMTP from DATA on.
const MACROS: &[(u32, &str)] = &[
    (0, "v {daemon_name} {client_addr} {client_name}"),
    (1, "{tls_version}"),
    (2, "i {auth_authen} {tls_version}"),
    (3, "{rcpt_mailer} {rcpt_host}"),
    (4, "i {auth_authen}"),
    (5, "i {auth_authen}"),
    (6, ""),
];

/// The peer speaks a version that we do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the MTA speaks version {0} of the milter protocol; {OLDEST} is the oldest that will do")]
pub struct UnsupportedVersion(pub u32);

/// When a message that nobody wants to see is let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EarlyAccept {
    /// At its end: the MTA sends all of it, nothing of it is kept, and no step
    /// waits for an answer.
    #[default]
    Off,
    /// At DATA: the MTA need not send header and body, for the price of one
    /// more round trip on every message. Pays where large mail passes
    /// untouched.
    AtData,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    options: OptNeg,
}

impl Negotiated {
    /// What we agree to out of what the MTA offers: never more than was
    /// offered, which MTAs take for an error, and nothing that the version does
    /// not have, whatever the peer claims.
    ///
    /// # Errors
    ///
    /// The peer speaks a version older than [`OLDEST`].
    pub fn new(offer: OptNeg, early_accept: EarlyAccept) -> Result<Self, UnsupportedVersion> {
        if offer.version < OLDEST {
            return Err(UnsupportedVersion(offer.version));
        }
        let version = offer.version.min(NEWEST);
        let (known_actions, known_flags) = known(version);
        let wanted_flags = match early_accept {
            EarlyAccept::Off => WANTED_PROTOCOL_FLAGS,
            EarlyAccept::AtData => WANTED_PROTOCOL_FLAGS & !protocol_flags::NO_REPLY_DATA,
        };
        Ok(Self {
            options: OptNeg {
                version,
                actions: offer.actions & known_actions & WANTED_ACTIONS,
                protocol_flags: offer.protocol_flags & known_flags & wanted_flags,
            },
        })
    }

    /// The version in use, 2 to 6.
    pub fn version(&self) -> u32 {
        self.options.version
    }

    /// Whether the MTA lets us do this (a bit of
    /// [`actions`]).
    pub fn allows(&self, action: u32) -> bool {
        self.options.actions & action != 0
    }

    /// Header values come and go with their leading white space.
    pub fn leading_space(&self) -> bool {
        self.options.protocol_flags & protocol_flags::HEADER_LEADING_SPACE != 0
    }

    /// SKIP may be answered to a body chunk.
    pub fn skip(&self) -> bool {
        self.options.protocol_flags & protocol_flags::SKIP != 0
    }

    /// Whether the MTA waits for an answer to this command.
    pub fn expects_reply(&self, kind: Kind) -> bool {
        let quiet = match kind {
            Kind::Connect => protocol_flags::NO_REPLY_CONNECT,
            Kind::Helo => protocol_flags::NO_REPLY_HELO,
            Kind::Mail => protocol_flags::NO_REPLY_MAIL,
            Kind::Rcpt => protocol_flags::NO_REPLY_RCPT,
            Kind::Data => protocol_flags::NO_REPLY_DATA,
            Kind::Header => protocol_flags::NO_REPLY_HEADER,
            Kind::EndOfHeader => protocol_flags::NO_REPLY_END_OF_HEADER,
            Kind::Body => protocol_flags::NO_REPLY_BODY,
            Kind::Unknown => protocol_flags::NO_REPLY_UNKNOWN,
            Kind::Negotiate | Kind::EndOfBody => return true,
            Kind::Macros | Kind::Abort | Kind::Quit | Kind::QuitNewConnection => return false,
        };
        self.options.protocol_flags & quiet == 0
    }

    /// The answer to the offer.
    pub fn reply(&self) -> Reply<'static> {
        let macros = if self.allows(actions::SET_MACROS) {
            MACROS
        } else {
            &[]
        };
        Reply::Negotiate(self.options, macros)
    }
}

/// What a version has: actions and steps. Bits that a peer of that version sets
/// beyond these mean something else to it, or nothing.
fn known(version: u32) -> (u32, u32) {
    const ACTIONS_2: u32 = 0x3f;
    const FLAGS_2: u32 = 0x7f;
    match version {
        ..=2 => (ACTIONS_2, FLAGS_2),
        3 => (ACTIONS_2, FLAGS_2 | protocol_flags::NO_UNKNOWN),
        4 | 5 => (
            ACTIONS_2,
            FLAGS_2 | protocol_flags::NO_UNKNOWN | protocol_flags::NO_DATA,
        ),
        _ => (0x1ff, 0x1f_ffff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: OptNeg = OptNeg {
        version: 6,
        actions: 0x1ff,
        protocol_flags: 0x1f_ffff,
    };

    fn agreed(offer: OptNeg) -> OptNeg {
        Negotiated::new(offer, EarlyAccept::Off)
            .expect("a version we speak")
            .options
    }

    #[test]
    fn nothing_is_agreed_on_that_was_not_offered() {
        for version in OLDEST..=NEWEST {
            for bit in 0..32 {
                let offer = OptNeg {
                    version,
                    actions: 1 << bit,
                    protocol_flags: 1 << bit,
                };
                let agreed = agreed(offer);
                assert_eq!(
                    agreed.actions & !offer.actions,
                    0,
                    "version {version}, bit {bit}"
                );
                assert_eq!(
                    agreed.protocol_flags & !offer.protocol_flags,
                    0,
                    "version {version}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn older_peers_get_no_flag_of_later_versions() {
        let by_version = [
            (2, 0x37, 0),
            (3, 0x37, protocol_flags::NO_UNKNOWN),
            (4, 0x37, protocol_flags::NO_UNKNOWN),
            (5, 0x37, protocol_flags::NO_UNKNOWN),
            (6, 0x1f7, WANTED_PROTOCOL_FLAGS),
        ];
        for (version, actions, protocol_flags) in by_version {
            let agreed = agreed(OptNeg {
                version,
                actions: u32::MAX,
                protocol_flags: u32::MAX,
            });
            assert_eq!(
                agreed,
                OptNeg {
                    version,
                    actions,
                    protocol_flags,
                },
                "version {version}"
            );
        }
    }

    #[test]
    fn newer_peers_are_answered_with_our_newest_version() {
        assert_eq!(
            agreed(OptNeg {
                version: 9,
                ..EVERYTHING
            })
            .version,
            NEWEST
        );
        assert_eq!(
            Negotiated::new(
                OptNeg {
                    version: 1,
                    ..EVERYTHING
                },
                EarlyAccept::Off
            ),
            Err(UnsupportedVersion(1))
        );
    }

    #[test]
    fn only_the_end_of_a_message_is_answered_where_the_mta_can_do_without() {
        let negotiated = Negotiated::new(EVERYTHING, EarlyAccept::Off).expect("6");
        for kind in [
            Kind::Connect,
            Kind::Helo,
            Kind::Mail,
            Kind::Rcpt,
            Kind::Data,
            Kind::Header,
        ] {
            assert!(!negotiated.expects_reply(kind), "{kind:?}");
        }
        assert!(negotiated.expects_reply(Kind::EndOfBody));
        assert!(!negotiated.expects_reply(Kind::Abort));
        let early = Negotiated::new(EVERYTHING, EarlyAccept::AtData).expect("6");
        assert!(early.expects_reply(Kind::Data));
        let old = Negotiated::new(
            OptNeg {
                version: 2,
                ..EVERYTHING
            },
            EarlyAccept::Off,
        )
        .expect("2");
        assert!(old.expects_reply(Kind::Header) && !old.expects_reply(Kind::Abort));
    }

    #[test]
    fn macros_are_asked_for_only_where_the_mta_lets_us() {
        let answer = |actions| {
            let mut out = Vec::new();
            let negotiated = Negotiated::new(
                OptNeg {
                    actions,
                    ..EVERYTHING
                },
                EarlyAccept::Off,
            );
            negotiated
                .expect("6")
                .reply()
                .encode(&mut out)
                .expect("short");
            out
        };
        assert_eq!(answer(0xff).len(), 4 + 13);
        let with = answer(0x1ff);
        let text = String::from_utf8_lossy(&with);
        assert!(text.contains("i {auth_authen} {tls_version}\0"), "{text}");
    }
}
