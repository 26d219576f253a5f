//! Failures of relays: where an attempt failed, why, and which class that is.
//!
//! The types name no SMTP library. The client of relays converts its errors
//! into a [`Failure`].

use std::fmt;

use serde::{Deserialize, Serialize};

use waxseal_core::printable;

/// Longest text of a reply that is kept, in bytes. RFC 5321 permits lines of 512
/// bytes; replies of several lines are longer, and the first lines say what is
/// wrong.
const REPLY_TEXT: usize = 512;

/// The stage of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Name lookup and TCP connection.
    Connect,
    /// The greeting (220).
    Greeting,
    /// EHLO, or HELO.
    Ehlo,
    /// STARTTLS and the TLS handshake.
    Tls,
    /// AUTH, with the token of OAuth 2 where one is used.
    Login,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// DATA, until the relay asks for the content.
    Data,
    /// The content, until the final dot is sent.
    Content,
    /// After the final dot.
    End,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "waiting for the greeting",
            Self::Ehlo => "EHLO",
            Self::Tls => "TLS",
            Self::Login => "login",
            Self::Mail => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "sending the content",
            Self::End => "end of DATA",
        })
    }
}

/// A reply of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpReply {
    /// The code of three digits.
    pub code: u16,
    /// The enhanced status code (RFC 3463), if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<(u16, u16, u16)>,
    /// The text without codes: one line, printable, not longer than 512 bytes.
    pub text: String,
}

impl SmtpReply {
    /// A reply with a text from the relay, which may contain anything.
    pub fn new(code: u16, enhanced: Option<(u16, u16, u16)>, text: &str) -> Self {
        // Cut first, so that work is bounded whatever the relay sends.
        let text = printable::folded(&printable::cut(text, REPLY_TEXT));
        Self {
            code,
            enhanced,
            text: printable::cut(&text, REPLY_TEXT).into_owned(),
        }
    }

    /// Whether the relay accepts (2xx, 3xx).
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Whether the relay refuses for good (5xx).
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Subject and detail of the enhanced status code: `(7, 1)` of 5.7.1. The class
    /// is that of the code: some servers contradict themselves.
    pub fn detail(&self) -> Option<(u16, u16)> {
        self.enhanced.map(|(_, subject, detail)| (subject, detail))
    }

    /// Whether it is about security or policy (x.7.x).
    pub fn is_policy(&self) -> bool {
        matches!(self.enhanced, Some((_, 7, _)))
    }

    /// Whether its text contains one of these, in any case.
    pub(super) fn mentions(&self, phrases: &[&str]) -> bool {
        let text = self.text.to_ascii_lowercase();
        phrases.iter().any(|phrase| text.contains(phrase))
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((class, subject, detail)) = self.enhanced {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// What is wrong with TLS at a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate is signed by itself.
    SelfSigned,
    /// The issuer of the certificate is not trusted, or an intermediate
    /// certificate is missing.
    UnknownIssuer,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is for other names.
    WrongName,
    /// The certificate is revoked.
    Revoked,
    /// The certificate is invalid in another way.
    Certificate,
    /// STARTTLS is required, and the relay does not offer or accept it.
    NotOffered,
    /// The handshake failed: no common version or cipher, or no TLS at this port.
    Handshake,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SelfSigned => "its certificate is self-signed",
            Self::UnknownIssuer => "the issuer of its certificate is not trusted",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::WrongName => "its certificate is for another name",
            Self::Revoked => "its certificate is revoked",
            Self::Certificate => "its certificate is invalid",
            Self::NotOffered => "it does not offer STARTTLS",
            Self::Handshake => "the TLS handshake failed",
        })
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// The name of the relay cannot be resolved.
    NameNotFound,
    /// Nothing listens at its port.
    ConnectionRefused,
    /// No route to it, or another failure of the network.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The relay closed the connection.
    Lost,
    /// TLS failed.
    Tls(TlsProblem),
    /// The relay offers no login mechanism that can be used.
    NoMechanism,
    /// The token endpoint refuses to issue a token (OAuth 2): consent was revoked,
    /// or a secret has expired.
    TokenRefused,
    /// The token endpoint cannot be reached or does not work.
    TokenUnavailable,
    /// The relay answered with something that is not SMTP.
    Protocol,
    /// The relay refused with this reply.
    Reply(SmtpReply),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameNotFound => f.write_str("its name cannot be resolved"),
            Self::ConnectionRefused => f.write_str("connection refused"),
            Self::Unreachable => f.write_str("network unreachable"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Lost => f.write_str("connection lost"),
            Self::Tls(problem) => problem.fmt(f),
            Self::NoMechanism => f.write_str("no usable login mechanism is offered"),
            Self::TokenRefused => f.write_str("the token endpoint issues no token"),
            Self::TokenUnavailable => f.write_str("the token endpoint cannot be reached"),
            Self::Protocol => f.write_str("its answer is not SMTP"),
            Self::Reply(reply) => reply.fmt(f),
        }
    }
}

/// The class of a failure. Each class has its own threshold (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// No connection, or the connection is lost.
    Connection,
    /// TLS fails, or the certificate is not valid.
    Tls,
    /// The login is refused.
    Login,
    /// This server may not relay there: not on the allow list of the relay.
    NotAllowed,
    /// The relay refuses for another reason.
    Refused,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::Connection,
        Self::Tls,
        Self::Login,
        Self::NotAllowed,
        Self::Refused,
    ];

    /// Its name in settings and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::NotAllowed => "not-allowed",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that a relay did not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where the attempt failed.
    pub stage: Stage,
    /// Why.
    pub cause: Cause,
}

/// Texts with which servers refuse to relay, in lower case.
const NO_RELAYING: [&str; 8] = [
    "relay access denied",
    "relaying denied",
    "relay denied",
    "relaying not permitted",
    "relay not permitted",
    "not permitted to relay",
    "unable to relay",
    "do not relay",
];

/// Texts with which servers ask for a login, in lower case.
const LOGIN_REQUIRED: [&str; 4] = [
    "authentication required",
    "authentication is required",
    "not authenticated",
    "must authenticate",
];

impl Failure {
    /// A failure.
    pub fn new(stage: Stage, cause: Cause) -> Self {
        Self { stage, cause }
    }

    /// The reply of the relay, if it is the cause.
    pub fn reply(&self) -> Option<&SmtpReply> {
        match &self.cause {
            Cause::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// Its class.
    pub fn class(&self) -> FailureClass {
        match &self.cause {
            Cause::Tls(_) => FailureClass::Tls,
            Cause::NoMechanism | Cause::TokenRefused => FailureClass::Login,
            Cause::Reply(reply) => class_of_reply(self.stage, reply),
            Cause::NameNotFound
            | Cause::ConnectionRefused
            | Cause::Unreachable
            | Cause::TimedOut
            | Cause::Lost
            | Cause::TokenUnavailable
            | Cause::Protocol => FailureClass::Connection,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.cause)
    }
}

/// Whether a relay refuses with this reply to relay at all, for whatever recipient.
pub(super) fn denies_relaying(reply: &SmtpReply) -> bool {
    reply.is_permanent() && (reply.is_policy() || reply.mentions(&NO_RELAYING) || reply.code == 530)
}

fn class_of_reply(stage: Stage, reply: &SmtpReply) -> FailureClass {
    // A temporary refusal says nothing about password, certificate or allow list.
    if !reply.is_permanent() {
        return FailureClass::Refused;
    }
    match stage {
        Stage::Tls => FailureClass::Tls,
        Stage::Login => FailureClass::Login,
        // Servers refuse content by 5.7.1, too.
        Stage::End => FailureClass::Refused,
        _ if reply.mentions(&["starttls"]) => FailureClass::Tls,
        _ if wants_login(reply) => FailureClass::Login,
        _ if reply.is_policy() || reply.mentions(&NO_RELAYING) => FailureClass::NotAllowed,
        // Without an enhanced code: `554 No SMTP service here` for this address.
        Stage::Greeting => FailureClass::NotAllowed,
        _ => FailureClass::Refused,
    }
}

fn wants_login(reply: &SmtpReply) -> bool {
    matches!(reply.code, 530 | 534 | 535 | 538)
        || matches!(reply.detail(), Some((7, 8 | 9)))
        || reply.mentions(&LOGIN_REQUIRED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, enhanced: Option<(u16, u16, u16)>, text: &str) -> Cause {
        Cause::Reply(SmtpReply::new(code, enhanced, text))
    }

    #[test]
    fn r9_each_failure_has_a_class() {
        use FailureClass::*;
        let cases = [
            (Stage::Connect, Cause::NameNotFound, Connection),
            (Stage::Connect, Cause::ConnectionRefused, Connection),
            (Stage::Connect, Cause::Unreachable, Connection),
            (Stage::Greeting, Cause::TimedOut, Connection),
            (Stage::Content, Cause::Lost, Connection),
            (Stage::Ehlo, Cause::Protocol, Connection),
            (Stage::Tls, Cause::TimedOut, Connection),
            (Stage::Tls, Cause::Tls(TlsProblem::Expired), Tls),
            (Stage::Tls, Cause::Tls(TlsProblem::NotOffered), Tls),
            (Stage::Tls, reply(554, None, "TLS not available"), Tls),
            (
                Stage::Tls,
                reply(454, None, "TLS not available due to a temporary reason"),
                Refused,
            ),
            (
                Stage::Mail,
                reply(530, Some((5, 7, 0)), "Must issue a STARTTLS command first"),
                Tls,
            ),
            (
                Stage::Login,
                reply(535, Some((5, 7, 8)), "Username and Password not accepted"),
                Login,
            ),
            (Stage::Login, reply(504, None, "mechanism"), Login),
            (Stage::Login, Cause::NoMechanism, Login),
            (Stage::Login, Cause::TokenRefused, Login),
            (Stage::Login, Cause::TokenUnavailable, Connection),
            (
                Stage::Login,
                reply(454, Some((4, 7, 0)), "Too many login attempts"),
                Refused,
            ),
            (
                Stage::Mail,
                reply(530, Some((5, 7, 0)), "Authentication Required"),
                Login,
            ),
            (
                Stage::Mail,
                reply(550, Some((5, 7, 1)), "client not authenticated"),
                Login,
            ),
            (
                Stage::Greeting,
                reply(554, Some((5, 7, 1)), "Client host rejected"),
                NotAllowed,
            ),
            (
                Stage::Greeting,
                reply(554, None, "No SMTP service here"),
                NotAllowed,
            ),
            (Stage::Greeting, reply(421, None, "Too busy"), Refused),
            (
                Stage::Mail,
                reply(550, Some((5, 7, 1)), "Sender not permitted"),
                NotAllowed,
            ),
            (
                Stage::Recipient,
                reply(554, None, "<a@b.test>: Relay access denied"),
                NotAllowed,
            ),
            (Stage::Mail, reply(501, None, "syntax"), Refused),
            (Stage::Data, reply(451, Some((4, 3, 0)), "error"), Refused),
            (Stage::End, reply(550, Some((5, 7, 1)), "spam"), Refused),
        ];
        for (stage, cause, class) in cases {
            let failure = Failure::new(stage, cause);
            assert_eq!(failure.class(), class, "{failure}");
        }
    }

    #[test]
    fn a_reply_keeps_one_printable_line_of_bounded_length() {
        let hostile = format!("first\r\nsecond\u{1b}[2J{}", "x".repeat(10_000));
        let reply = SmtpReply::new(550, Some((5, 7, 1)), &hostile);
        assert!(reply.text.len() <= REPLY_TEXT && reply.text.starts_with("first second"));
        assert!(!reply.text.contains(char::is_control), "{reply}");
        assert!(reply.to_string().starts_with("550 5.7.1 first"));
    }

    #[test]
    fn names_of_classes_are_those_of_json() {
        for class in FailureClass::ALL {
            let json = serde_json::to_value(class).expect("JSON");
            assert_eq!(json, class.as_str());
        }
    }
}
