//! Option negotiation: protocol version, actions, and which commands are answered.

use thiserror::Error;

use super::codec::{Kind, OptNeg, Reply, actions, protocol_flags};

/// Oldest supported version (Sendmail 8.12, Postfix `milter_protocol = 2`).
pub const OLDEST: u32 = 2;

/// Newest supported version (Sendmail 8.14, Postfix since 2.6).
pub const NEWEST: u32 = 6;

/// Requested actions. Recipients are never deleted.
const WANTED_ACTIONS: u32 = actions::ADD_HEADERS
    | actions::CHANGE_BODY
    | actions::ADD_RECIPIENTS
    | actions::CHANGE_HEADERS
    | actions::QUARANTINE
    | actions::CHANGE_FROM
    | actions::ADD_RECIPIENTS_PARAMETERS
    | actions::SET_MACROS;

/// Requested protocol flags. Each reply is a round trip: a message takes 2 ms on one
/// connection with all replies, 0.08 ms with none.
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

/// Requested macros by stage (`SMFIM_…`). An empty list saves the MTA a frame before
/// each command of that stage. The queue id is requested at every stage where it can
/// first be known: MAIL for local submission, DATA and later for SMTP.
const MACROS: &[(u32, &str)] = &[
    (0, "v {daemon_name} {client_addr} {client_name}"),
    (1, "{tls_version}"),
    (2, "i {auth_authen} {tls_version}"),
    (3, "{rcpt_mailer} {rcpt_host}"),
    (4, "i {auth_authen}"),
    (5, "i {auth_authen}"),
    (6, ""),
];

/// The MTA offers a version that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unsupported milter protocol version {0}: the oldest supported version is {OLDEST}")]
pub struct UnsupportedVersion(pub u32);

/// When a message is accepted that the filter does not want
/// ([`Interest::Pass`](super::Interest::Pass)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EarlyAccept {
    /// At its end. The MTA sends the whole message, which is not collected, and no
    /// step waits for a reply.
    #[default]
    Off,
    /// At DATA. The MTA does not send header and body, at one more round trip for
    /// every message. Worthwhile where most mail is large and passes.
    AtData,
}

/// The negotiated options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    options: OptNeg,
}

impl Negotiated {
    /// Selects options from an offer: none that was not offered, which MTAs treat as
    /// an error, and none that the version does not define, whatever the MTA offers.
    ///
    /// # Errors
    ///
    /// The MTA offers a version older than [`OLDEST`].
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

    /// The negotiated version, 2 to 6.
    pub fn version(&self) -> u32 {
        self.options.version
    }

    /// Whether an action (a bit of [`actions`]) was negotiated.
    pub fn allows(&self, action: u32) -> bool {
        self.options.actions & action != 0
    }

    /// Header values include their leading white space (`SMFIP_HDR_LEADSPC`).
    pub fn leading_space(&self) -> bool {
        self.options.protocol_flags & protocol_flags::HEADER_LEADING_SPACE != 0
    }

    /// SKIP is a valid reply to a body chunk (`SMFIP_SKIP`).
    pub fn skip(&self) -> bool {
        self.options.protocol_flags & protocol_flags::SKIP != 0
    }

    /// Whether the MTA waits for a reply to this command.
    pub fn expects_reply(&self, kind: Kind) -> bool {
        let no_reply = match kind {
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
        self.options.protocol_flags & no_reply == 0
    }

    /// The reply to the offer.
    pub fn reply(&self) -> Reply<'static> {
        let macros = if self.allows(actions::SET_MACROS) {
            MACROS
        } else {
            &[]
        };
        Reply::Negotiate(self.options, macros)
    }
}

/// Actions and protocol flags of a version. Bits that an MTA of that version sets
/// beyond these have another meaning, or none.
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
            .expect("a supported version")
            .options
    }

    #[test]
    fn only_offered_options_are_negotiated() {
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
    fn only_the_end_of_a_message_is_answered_if_the_mta_allows_it() {
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
    fn macros_are_requested_only_if_the_mta_allows_it() {
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
