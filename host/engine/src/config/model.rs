//! The settings as values.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::problem::Source;
use super::units::{Domain, RelayName, Share};
use waxseal_core::decision::WhenFull;
use waxseal_core::message::{self, Address};

/// All of `waxseal.toml`. Paths are absolute, or relative to where the command
/// was started: those in the file are relative to the file's folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, for the places of later problems.
    pub source: Source,
    /// Name of this host, in Message-IDs that are added (`hostname`).
    pub hostname: String,
    /// Zone in which the day of counters begins (`time-zone`, an IANA name).
    pub time_zone: TimeZone,
    /// Folder of what outlives the process: secret and counters (`state`).
    pub state: PathBuf,
    /// Local domains, subdomains not included (`local-domains`).
    pub local_domains: Vec<Domain>,
    /// `[policy]`.
    pub policy: Policy,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[listener]]`.
    pub listeners: Vec<Listener>,
    /// `[outgoing]`.
    pub outgoing: Outgoing,
    /// `[relay.NAME]`.
    pub relays: Vec<Relay>,
    /// `[default-route]`.
    pub default_route: DefaultRoute,
    /// `[dkim]`.
    pub dkim: Dkim,
    /// `[editing]`.
    pub editing: Editing,
    /// `[table.NAME]`: lookup tables for the policy, by name.
    pub tables: Vec<Table>,
    /// `[record]`, if decisions are recorded.
    pub record: Option<Record>,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
}

/// The policy and what becomes of a message when it fails.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The component (`file`).
    pub file: PathBuf,
    /// Where `file` stands in `waxseal.toml`.
    pub file_span: Range<usize>,
    /// Its settings, given to `configure` as they are (`settings`).
    pub settings: Option<PathBuf>,
    /// Where `settings` stands in `waxseal.toml`.
    pub settings_span: Range<usize>,
    /// What happens to a message that the policy failed on (`on-error`).
    pub on_error: OnError,
    /// Different messages in a row that it may fail on, where the version before
    /// decides them, before the host goes back to that (`roll-back-after`); 0 is
    /// any number.
    pub roll_back_after: u64,
    /// The share of the last messages that it may fail on likewise
    /// (`roll-back-share`); none is any share.
    pub roll_back_share: Option<Share>,
    /// Whether changed files are put in service by themselves (`watch`).
    pub watch: bool,
    /// Test files, and folders of them, that a version has to pass before it is
    /// put in service (`tests`).
    pub tests: Vec<PathBuf>,
}

/// What happens to a message that the policy failed on (R28). Failures of
/// anything else defer the message, whatever this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It is refused for now and the client tries again: nothing is lost.
    #[default]
    Defer,
    /// It is refused for good.
    Reject,
    /// It passes as it came: not relayed, not signed.
    Accept,
}

/// Limits of the sandbox and of the milter server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall clock of one decision (`decision-time`).
    pub decision_time: Duration,
    /// Instructions (fuel) of one decision (`instructions`).
    pub instructions: u64,
    /// Linear memory of one instance, all its memories together, in bytes
    /// (`memory`).
    pub memory: usize,
    /// From the complete message to its answer (`processing-time`).
    pub processing_time: Duration,
    /// Most of everything that a message may have (`message-size`, `header-size`,
    /// `header-fields`, `recipients`, `addresses`, `parts`).
    pub message: message::Limits,
    /// Bytes of memory for messages at one time, all connections together
    /// (`held`).
    pub held: usize,
    /// Connections of the milter server at one time (`connections`).
    pub connections: usize,
    /// How long a new connection may take for its first commands
    /// (`first-command-time`).
    pub first_command_time: Duration,
    /// Decisions at one time (`decisions`).
    pub decisions: u32,
    /// Counters that policies may make in a day (`new-counters`).
    pub new_counters: u64,
    /// How long messages in flight may take after a stop (`stop-time`).
    pub stop_time: Duration,
}

impl From<&Limits> for waxseal_runtime::Limits {
    fn from(limits: &Limits) -> Self {
        Self {
            time: limits.decision_time,
            instructions: limits.instructions,
            memory: limits.memory,
            decisions: limits.decisions,
        }
    }
}

/// Where the MTA connects.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name: policies see it, logs carry it.
    pub name: String,
    /// Where it listens.
    pub address: ListenAddress,
    /// Where `address` stands in `waxseal.toml`.
    pub address_span: Range<usize>,
    /// What is done with mail that comes through it.
    pub mode: Mode,
    /// Mode bits of a Unix socket (`socket-mode`, default 0660).
    pub socket_mode: u32,
    /// Group of a Unix socket (`socket-group`).
    pub socket_group: Option<String>,
    /// Connections at one time (`connections`); by default an equal share of
    /// those of all listeners.
    pub connections: Option<usize>,
    /// In mode `split`: where Postfix's own smtpd for it listens (`smtpd`).
    pub smtpd: Option<SocketAddr>,
}

/// Address of a milter listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `inet:ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "inet:{}:{}", address.ip(), address.port()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is done with mail that comes through a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mail of logged-in users and of listed networks is decided on; all other
    /// mail passes untouched (R20).
    Mixed,
    /// All mail is outgoing: the MTA lets only senders in who may submit.
    Submission,
    /// Routing only: copies of a message with local and remote recipients
    /// come back here one recipient at a time.
    Split,
}

/// What makes mail outgoing on a listener of mode `mixed` (R20).
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Clients in these networks (`networks`).
    pub networks: Vec<IpNet>,
    /// Where `networks` stands in `waxseal.toml`.
    pub networks_span: Range<usize>,
    /// Logged-in users (`logins`, default true).
    pub logins: bool,
}

/// A relay server (R1, R4, R5).
#[derive(Clone, Debug)]
pub struct Relay {
    /// Its name in settings, logs and Postfix's `master.cf`.
    pub name: RelayName,
    /// Host name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Connection security.
    pub security: Security,
    /// Whether its certificate has to be valid for `host`.
    pub verify_certificate: bool,
    /// Certificates to trust, PEM; the system's where absent.
    pub ca_file: Option<PathBuf>,
    /// Login, if it wants one.
    pub login: Option<Login>,
    /// Most messages a day; none is no limit.
    pub daily_maximum: Option<u64>,
    /// Whether it takes 8bit content (RFC 6152). Where not, such text is
    /// encoded before it is signed.
    pub eight_bit: bool,
    /// Where its table stands in `waxseal.toml`.
    pub span: Range<usize>,
}

/// Connection security of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (port 465, RFC 8314).
    Tls,
    /// STARTTLS, required (RFC 3207).
    StartTls,
    /// Never.
    None,
}

/// Login at a relay. The secret stands in a file of its own.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub user: String,
    /// File whose first line is the password.
    pub password_file: PathBuf,
}

/// The route of the MTA itself, which ends every list of relays.
#[derive(Clone, Debug)]
pub struct DefaultRoute {
    /// Most messages a day; none is no limit.
    pub daily_maximum: Option<u64>,
    /// What happens past it.
    pub when_full: WhenFull,
    /// Whether next hops take 8bit content (RFC 6152).
    pub eight_bit: bool,
}

/// DKIM keys.
#[derive(Clone, Debug)]
pub struct Dkim {
    /// Folder of the keys that `waxseal dkim` keeps: `DOMAIN/SELECTOR.pem`.
    pub keys: PathBuf,
    /// Make a key for each domain that the policy signs for and that has none.
    pub generate: bool,
    /// How long a signature is valid (`expire`); none is without end.
    pub expire: Option<Duration>,
    /// Signing domains that need not be aligned with the author
    /// (`allow-unaligned`).
    pub allow_unaligned: Vec<UnalignedPair>,
    /// `[[dkim.key]]`: key files elsewhere.
    pub files: Vec<KeyFile>,
}

/// An author's domain and a signing domain that is not aligned with it (RFC
/// 9989), which the administrator allows together.
#[derive(Clone, Debug)]
pub struct UnalignedPair {
    /// The author's domain, its subdomains included; none is any (`"*"`).
    pub author: Option<Domain>,
    /// Signing domain (`d=`).
    pub sign: Domain,
    /// Where its table stands in `waxseal.toml`.
    pub span: Range<usize>,
}

/// A key file outside the folder of keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Signing domain (`d=`).
    pub domain: Domain,
    /// Selector (`s=`).
    pub selector: String,
    /// PEM file (PKCS #8 or PKCS #1).
    pub file: PathBuf,
    /// Where its table stands in `waxseal.toml`.
    pub span: Range<usize>,
}

/// How messages are edited (R22).
#[derive(Clone, Debug)]
pub struct Editing {
    /// Wrap signed and encrypted mail in a multipart with the disclaimer, instead
    /// of leaving it alone.
    pub wrap: bool,
    /// Put disclaimers into replies as well.
    pub replies: bool,
    /// Put disclaimers into mail of mailing lists as well.
    pub lists: bool,
}

/// A lookup table: a file of lines `key value`.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, as the policy asks for it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Where its table stands in `waxseal.toml`.
    pub span: Range<usize>,
}

/// A recording of decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its folder (`folder`).
    pub folder: PathBuf,
    /// What is kept of messages (`messages`).
    pub messages: KeepMessages,
    /// Most bytes that it takes on disk (`maximum`).
    pub maximum: u64,
    /// Part of the messages that is recorded (`share`).
    pub share: Share,
}

/// What a recording keeps of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepMessages {
    /// All of it: it can be decided on again, and made into a test.
    Whole,
    /// Its SHA-256: it can be found again in an archive.
    Digest,
}

/// The control channel of the daemon.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Its socket (`socket`); only its owner and root may connect.
    pub socket: PathBuf,
}

/// Severity of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A failure.
    Error,
    /// Something unexpected.
    Warn,
    /// Normal operation.
    Info,
    /// Details for finding a fault.
    Debug,
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Least level that is written: `error`, `warn`, `info`, `debug`.
    pub level: LogLevel,
}

impl Config {
    /// Whether an address belongs to a local domain. An address
    /// without a domain is local.
    pub fn is_local(&self, address: &Address) -> bool {
        match address.domain() {
            None => true,
            Some(domain) => domain
                .parse()
                .is_ok_and(|domain: Domain| self.local_domains.contains(&domain)),
        }
    }
}
