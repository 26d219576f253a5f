//! What a connection agrees on: version, changes, and which steps are answered.

use thiserror::Error;

use super::codec::{Kind, Offer, Reply, actions, steps};

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
const WANTED_STEPS: u32 = steps::NO_UNKNOWN
    | steps::SKIP
    | steps::LEADING_SPACE
    | steps::QUIET_CONNECT
    | steps::QUIET_HELO
    | steps::QUIET_MAIL
    | steps::QUIET_RCPT
    | steps::QUIET_DATA
    | steps::QUIET_UNKNOWN
    | steps::QUIET_HEADER
    | steps::QUIET_END_OF_HEADER
    | steps::QUIET_BODY;

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
pub enum LetGo {
    /// At its end: the MTA sends all of it, nothing of it is kept, and no step
    /// waits for an answer.
    #[default]
    AtEnd,
    /// At DATA: the MTA need not send header and body, for the price of one
    /// more round trip on every message. Pays where large mail passes
    /// untouched.
    AtData,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    agreed: Offer,
}

impl Agreement {
    /// What we agree to out of what the MTA offers: never more than was
    /// offered, which MTAs take for an error, and nothing that the version does
    /// not have, whatever the peer claims.
    ///
    /// # Errors
    ///
    /// The peer speaks a version older than [`OLDEST`].
    pub fn new(offer: Offer, let_go: LetGo) -> Result<Self, UnsupportedVersion> {
        if offer.version < OLDEST {
            return Err(UnsupportedVersion(offer.version));
        }
        let version = offer.version.min(NEWEST);
        let (known_actions, known_steps) = known(version);
        let wanted_steps = match let_go {
            LetGo::AtEnd => WANTED_STEPS,
            LetGo::AtData => WANTED_STEPS & !steps::QUIET_DATA,
        };
        Ok(Self {
            agreed: Offer {
                version,
                actions: offer.actions & known_actions & WANTED_ACTIONS,
                steps: offer.steps & known_steps & wanted_steps,
            },
        })
    }

    /// The version in use, 2 to 6.
    pub fn version(&self) -> u32 {
        self.agreed.version
    }

    /// Whether the MTA lets us do this (a bit of
    /// [`actions`]).
    pub fn allows(&self, action: u32) -> bool {
        self.agreed.actions & action != 0
    }

    /// Header values come and go with their leading white space.
    pub fn leading_space(&self) -> bool {
        self.agreed.steps & steps::LEADING_SPACE != 0
    }

    /// SKIP may be answered to a body chunk.
    pub fn skip(&self) -> bool {
        self.agreed.steps & steps::SKIP != 0
    }

    /// Whether the MTA waits for an answer to this command.
    pub fn answered(&self, kind: Kind) -> bool {
        let quiet = match kind {
            Kind::Connect => steps::QUIET_CONNECT,
            Kind::Helo => steps::QUIET_HELO,
            Kind::Mail => steps::QUIET_MAIL,
            Kind::Rcpt => steps::QUIET_RCPT,
            Kind::Data => steps::QUIET_DATA,
            Kind::Header => steps::QUIET_HEADER,
            Kind::EndOfHeader => steps::QUIET_END_OF_HEADER,
            Kind::Body => steps::QUIET_BODY,
            Kind::Unknown => steps::QUIET_UNKNOWN,
            Kind::Negotiate | Kind::EndOfBody => return true,
            Kind::Macros | Kind::Abort | Kind::Quit | Kind::QuitNewConnection => return false,
        };
        self.agreed.steps & quiet == 0
    }

    /// The answer to the offer.
    pub fn reply(&self) -> Reply<'static> {
        let macros = if self.allows(actions::SET_MACROS) {
            MACROS
        } else {
            &[]
        };
        Reply::Negotiate(self.agreed, macros)
    }
}

/// What a version has: actions and steps. Bits that a peer of that version sets
/// beyond these mean something else to it, or nothing.
fn known(version: u32) -> (u32, u32) {
    const ACTIONS_2: u32 = 0x3f;
    const STEPS_2: u32 = 0x7f;
    match version {
        ..=2 => (ACTIONS_2, STEPS_2),
        3 => (ACTIONS_2, STEPS_2 | steps::NO_UNKNOWN),
        4 | 5 => (ACTIONS_2, STEPS_2 | steps::NO_UNKNOWN | steps::NO_DATA),
        _ => (0x1ff, 0x1f_ffff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Offer = Offer {
        version: 6,
        actions: 0x1ff,
        steps: 0x1f_ffff,
    };

    fn agreed(offer: Offer) -> Offer {
        Agreement::new(offer, LetGo::AtEnd)
            .expect("a version we speak")
            .agreed
    }

    #[test]
    fn nothing_is_agreed_on_that_was_not_offered() {
        for version in OLDEST..=NEWEST {
            for bit in 0..32 {
                let offer = Offer {
                    version,
                    actions: 1 << bit,
                    steps: 1 << bit,
                };
                let agreed = agreed(offer);
                assert_eq!(
                    agreed.actions & !offer.actions,
                    0,
                    "version {version}, bit {bit}"
                );
                assert_eq!(
                    agreed.steps & !offer.steps,
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
            (3, 0x37, steps::NO_UNKNOWN),
            (4, 0x37, steps::NO_UNKNOWN),
            (5, 0x37, steps::NO_UNKNOWN),
            (6, 0x1f7, WANTED_STEPS),
        ];
        for (version, actions, steps) in by_version {
            let agreed = agreed(Offer {
                version,
                actions: u32::MAX,
                steps: u32::MAX,
            });
            assert_eq!(
                agreed,
                Offer {
                    version,
                    actions,
                    steps
                },
                "version {version}"
            );
        }
    }

    #[test]
    fn newer_peers_are_answered_with_our_newest_version() {
        assert_eq!(
            agreed(Offer {
                version: 9,
                ..EVERYTHING
            })
            .version,
            NEWEST
        );
        assert_eq!(
            Agreement::new(
                Offer {
                    version: 1,
                    ..EVERYTHING
                },
                LetGo::AtEnd
            ),
            Err(UnsupportedVersion(1))
        );
    }

    #[test]
    fn only_the_end_of_a_message_is_answered_where_the_mta_can_do_without() {
        let agreement = Agreement::new(EVERYTHING, LetGo::AtEnd).expect("6");
        for kind in [
            Kind::Connect,
            Kind::Helo,
            Kind::Mail,
            Kind::Rcpt,
            Kind::Data,
            Kind::Header,
        ] {
            assert!(!agreement.answered(kind), "{kind:?}");
        }
        assert!(agreement.answered(Kind::EndOfBody));
        assert!(!agreement.answered(Kind::Abort));
        let early = Agreement::new(EVERYTHING, LetGo::AtData).expect("6");
        assert!(early.answered(Kind::Data));
        let old = Agreement::new(
            Offer {
                version: 2,
                ..EVERYTHING
            },
            LetGo::AtEnd,
        )
        .expect("2");
        assert!(old.answered(Kind::Header) && !old.answered(Kind::Abort));
    }

    #[test]
    fn macros_are_asked_for_only_where_the_mta_lets_us() {
        let answer = |actions| {
            let mut out = Vec::new();
            let agreement = Agreement::new(
                Offer {
                    actions,
                    ..EVERYTHING
                },
                LetGo::AtEnd,
            );
            agreement
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
