//! Remedies: what an administrator can do about a failure of a relay (R10).

use std::fmt;

use serde::Serialize;

use crate::relay::failure::{Cause, Failure, FailureClass, SmtpReply, Stage, TlsProblem};

/// What to do about a failure. `Display` is the text for the administrator; the
/// serialized name is for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Remedy {
    /// The name of the relay does not exist.
    CheckHost,
    /// Nothing listens at the port.
    CheckPort,
    /// No packets reach the relay, or none come back.
    CheckNetwork,
    /// The server broke off or is overloaded.
    WaitForServer,
    /// The server does not speak SMTP at this port.
    CheckProtocol,
    /// The certificate is self-signed.
    TrustCertificate,
    /// The issuer is not trusted.
    TrustIssuer,
    /// The certificate has expired.
    RenewCertificate,
    /// The certificate is not valid yet.
    CheckClock,
    /// The certificate is for another name.
    CheckCertificateName,
    /// The certificate is revoked or invalid.
    ReplaceCertificate,
    /// STARTTLS is not offered.
    CheckStartTls,
    /// The handshake failed.
    CheckTlsMode,
    /// TLS is required for mail.
    EnableTls,
    /// User or password is wrong.
    CheckPassword,
    /// The account has two-step login and needs an app password.
    UseAppPassword,
    /// The service accepts OAuth 2 only.
    UseOauth,
    /// Consent was revoked or the client secret has expired.
    RenewToken,
    /// The token endpoint does not answer.
    CheckTokenEndpoint,
    /// No common login mechanism.
    CheckMechanism,
    /// The relay requires a login and none is configured.
    ConfigureLogin,
    /// The address of this server is not on the allow list of the relay.
    AllowThisServer,
    /// The relay does not permit this sender address.
    AllowSender,
    /// The relay's own sending limit is reached.
    RespectLimit,
    /// The relay refuses the content.
    CheckContent,
    /// Anything else.
    AskOperator,
}

impl Remedy {
    /// The remedy of a failure.
    pub fn of(failure: &Failure) -> Self {
        match &failure.cause {
            Cause::NameNotFound => Self::CheckHost,
            Cause::ConnectionRefused => Self::CheckPort,
            Cause::Unreachable => Self::CheckNetwork,
            // With the wrong kind of TLS, both sides wait for the other to begin.
            Cause::TimedOut | Cause::Lost
                if matches!(failure.stage, Stage::Greeting | Stage::Tls) =>
            {
                Self::CheckTlsMode
            }
            Cause::TimedOut if failure.stage == Stage::Connect => Self::CheckNetwork,
            Cause::TimedOut | Cause::Lost => Self::WaitForServer,
            Cause::Tls(problem) => of_tls(*problem),
            Cause::NoMechanism => Self::CheckMechanism,
            Cause::TokenRefused => Self::RenewToken,
            Cause::TokenUnavailable => Self::CheckTokenEndpoint,
            Cause::Protocol => Self::CheckProtocol,
            Cause::Reply(reply) => of_reply(failure, reply),
        }
    }
}

fn of_tls(problem: TlsProblem) -> Remedy {
    match problem {
        TlsProblem::SelfSigned => Remedy::TrustCertificate,
        TlsProblem::UnknownIssuer => Remedy::TrustIssuer,
        TlsProblem::Expired => Remedy::RenewCertificate,
        TlsProblem::NotYetValid => Remedy::CheckClock,
        TlsProblem::WrongName => Remedy::CheckCertificateName,
        TlsProblem::Revoked | TlsProblem::Certificate => Remedy::ReplaceCertificate,
        TlsProblem::NotOffered => Remedy::CheckStartTls,
        TlsProblem::Handshake => Remedy::CheckTlsMode,
    }
}

fn of_reply(failure: &Failure, reply: &SmtpReply) -> Remedy {
    // Providers announce their own limits with several codes.
    if matches!(reply.detail(), Some((4, 5))) || reply.mentions(&LIMIT) {
        return Remedy::RespectLimit;
    }
    if !reply.is_permanent() {
        return Remedy::WaitForServer;
    }
    match failure.class() {
        FailureClass::Tls if failure.stage == Stage::Tls => Remedy::CheckStartTls,
        FailureClass::Tls => Remedy::EnableTls,
        FailureClass::Login if reply.mentions(&APP_PASSWORD) => Remedy::UseAppPassword,
        FailureClass::Login
            if matches!(reply.detail(), Some((7, 139))) || reply.mentions(&NO_PASSWORDS) =>
        {
            Remedy::UseOauth
        }
        FailureClass::Login if failure.stage != Stage::Login => Remedy::ConfigureLogin,
        FailureClass::Login if matches!(reply.code, 502..=504) => Remedy::CheckMechanism,
        FailureClass::Login => Remedy::CheckPassword,
        FailureClass::NotAllowed if failure.stage == Stage::Mail && reply.mentions(&SENDER) => {
            Remedy::AllowSender
        }
        FailureClass::NotAllowed => Remedy::AllowThisServer,
        FailureClass::Refused if failure.stage == Stage::End => Remedy::CheckContent,
        FailureClass::Refused if failure.stage == Stage::Mail && reply.mentions(&SENDER) => {
            Remedy::AllowSender
        }
        FailureClass::Refused | FailureClass::Connection => Remedy::AskOperator,
    }
}

/// Texts of providers that limit how much is sent, in lower case.
const LIMIT: [&str; 5] = [
    "limit exceeded",
    "quota exceeded",
    "rate limit",
    "sending limit",
    "too many messages",
];

/// Texts of services where two-step login is on, in lower case.
const APP_PASSWORD: [&str; 4] = [
    "application-specific password",
    "app password",
    "app-specific password",
    "invalidsecondfactor",
];

/// Texts of services that accept no passwords, in lower case.
const NO_PASSWORDS: [&str; 3] = [
    "basic authentication is disabled",
    "smtpclientauthentication is disabled",
    "oauth",
];

/// Words about the sender address, in lower case.
const SENDER: [&str; 4] = ["sender", "send as", "from address", "not owned"];

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CheckHost => {
                "check `host` of the relay: its name does not exist, or the DNS servers of this machine do not answer"
            }
            Self::CheckPort => {
                "check `port` of the relay: no server accepts connections there, or a firewall refuses them"
            }
            Self::CheckNetwork => {
                "check the network: the relay cannot be reached from this machine; a firewall or the provider may block this \
                 port (25 is often blocked; try 587 or 465)"
            }
            Self::WaitForServer => {
                "the relay is overloaded or under maintenance; if this continues, ask its operator"
            }
            Self::CheckProtocol => {
                "check `host` and `port` of the relay: the server there does not answer in SMTP"
            }
            Self::TrustCertificate => {
                "the certificate of the relay is self-signed: set `ca-file` to a copy of it, or `verify-certificate = false`"
            }
            Self::TrustIssuer => {
                "the issuer of the relay's certificate is not trusted: set `ca-file` to the certificate of its authority, or ask \
                 the operator whether the server sends its intermediate certificates"
            }
            Self::RenewCertificate => {
                "the certificate of the relay has expired: ask its operator to renew it"
            }
            Self::CheckClock => {
                "the certificate of the relay is not valid yet: check the clock of this machine"
            }
            Self::CheckCertificateName => {
                "the certificate of the relay is for another name: set `host` to the name in the certificate"
            }
            Self::ReplaceCertificate => {
                "the certificate of the relay is invalid or revoked: ask its operator to replace it"
            }
            Self::CheckStartTls => {
                "the relay offers no STARTTLS at this port: try `security = \"tls\"` with port 465, or port 587"
            }
            Self::CheckTlsMode => {
                "check `security` and `port` of the relay: \"tls\" belongs to port 465, \"starttls\" to ports 587 and 25"
            }
            Self::EnableTls => "the relay requires TLS: set `security = \"starttls\"`",
            Self::CheckPassword => {
                "user or password is wrong: check `user` and the content of `password-file`; some services lock an account after \
                 many failures"
            }
            Self::UseAppPassword => {
                "the account has two-step login: create an app password in the settings of the account and write it to \
                 `password-file`"
            }
            Self::UseOauth => {
                "the service accepts no passwords (any more): configure OAuth 2 (`[relay.NAME.oauth]`), or permit \
                 SMTP login with a password for this account"
            }
            Self::RenewToken => {
                "the service issues no token: consent was revoked or the client secret has expired; type: waxseal relay login \
                 NAME"
            }
            Self::CheckTokenEndpoint => {
                "the token endpoint of OAuth 2 cannot be reached: check `token-endpoint` and the network"
            }
            Self::CheckMechanism => {
                "the relay offers no login mechanism that is configured: check `auth`; many servers offer a login only with TLS"
            }
            Self::ConfigureLogin => "the relay requires a login: set `user` and `password-file`",
            Self::AllowThisServer => {
                "the relay does not accept mail from this server: ask its operator to put the address of this server on \
                 the allow list, or configure the login that the relay requires"
            }
            Self::AllowSender => {
                "the relay does not accept this sender address for this account: register the sending domain at the relay, or \
                 choose another return path"
            }
            Self::RespectLimit => {
                "the relay's own sending limit is reached: set `daily-maximum` below it"
            }
            Self::CheckContent => {
                "the relay refuses the content of a message; its reply says why"
            }
            Self::AskOperator => "ask the operator of the relay, with its reply",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(stage: Stage, code: u16, enhanced: (u16, u16, u16), text: &str) -> Remedy {
        let reply = SmtpReply::new(code, Some(enhanced), text);
        Remedy::of(&Failure::new(stage, Cause::Reply(reply)))
    }

    #[test]
    fn r10_replies_of_well_known_services_have_their_remedies() {
        let login = |code, enhanced, text| remedy(Stage::Login, code, enhanced, text);
        assert_eq!(
            login(535, (5, 7, 8), "Username and Password not accepted."),
            Remedy::CheckPassword
        );
        assert_eq!(
            login(534, (5, 7, 9), "Application-specific password required."),
            Remedy::UseAppPassword
        );
        assert_eq!(
            login(
                535,
                (5, 7, 139),
                "Authentication unsuccessful, basic authentication is disabled."
            ),
            Remedy::UseOauth
        );
        assert_eq!(
            login(504, (5, 5, 4), "Unrecognized authentication type"),
            Remedy::CheckMechanism
        );
        assert_eq!(
            remedy(Stage::Recipient, 554, (5, 7, 1), "Relay access denied"),
            Remedy::AllowThisServer
        );
        assert_eq!(
            remedy(
                Stage::Mail,
                530,
                (5, 7, 57),
                "Client not authenticated to send mail"
            ),
            Remedy::ConfigureLogin
        );
        assert_eq!(
            remedy(
                Stage::Mail,
                553,
                (5, 7, 1),
                "Sender address rejected: not owned by user"
            ),
            Remedy::AllowSender
        );
        assert_eq!(
            remedy(
                Stage::Data,
                550,
                (5, 4, 5),
                "Daily user sending limit exceeded"
            ),
            Remedy::RespectLimit
        );
        assert_eq!(
            remedy(Stage::Greeting, 421, (4, 3, 2), "Too busy"),
            Remedy::WaitForServer
        );
    }

    #[test]
    fn r10_each_problem_of_a_certificate_has_its_own_remedy() {
        use TlsProblem::*;
        let problems = [
            (SelfSigned, Remedy::TrustCertificate),
            (UnknownIssuer, Remedy::TrustIssuer),
            (Expired, Remedy::RenewCertificate),
            (NotYetValid, Remedy::CheckClock),
            (WrongName, Remedy::CheckCertificateName),
            (Revoked, Remedy::ReplaceCertificate),
            (NotOffered, Remedy::CheckStartTls),
            (Handshake, Remedy::CheckTlsMode),
        ];
        for (problem, remedy) in problems {
            let failure = Failure::new(Stage::Tls, Cause::Tls(problem));
            assert_eq!(Remedy::of(&failure), remedy, "{failure}");
        }
    }

    #[test]
    fn r10_connections_that_fail_have_remedies_by_cause_and_stage() {
        let of = |stage, cause| Remedy::of(&Failure::new(stage, cause));
        assert_eq!(of(Stage::Connect, Cause::NameNotFound), Remedy::CheckHost);
        assert_eq!(
            of(Stage::Connect, Cause::ConnectionRefused),
            Remedy::CheckPort
        );
        assert_eq!(of(Stage::Connect, Cause::TimedOut), Remedy::CheckNetwork);
        assert_eq!(of(Stage::Greeting, Cause::TimedOut), Remedy::CheckTlsMode);
        assert_eq!(of(Stage::Content, Cause::Lost), Remedy::WaitForServer);
        assert_eq!(of(Stage::Login, Cause::TokenRefused), Remedy::RenewToken);
    }
}
