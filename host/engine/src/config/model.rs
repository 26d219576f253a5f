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

/// All of `waxseal.toml`. Paths are absolute, or relative to the current folder of the command: those in the file are relative to
/// the file's folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, for the places of later problems.
    pub source: Source,
    /// Name of this host, in Message-IDs that are added (`hostname`).
    pub hostname: String,
    /// Zone in which the day of counters begins (`time-zone`, an IANA name).
    pub time_zone: TimeZone,
    /// Folder of persistent state: secret and counters (`state`).
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

/// The policy, and the handling of messages when it fails.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The component (`file`).
    pub file: PathBuf,
    /// Position of `file` in `waxseal.toml`.
    pub file_span: Range<usize>,
    /// Its settings, passed to `configure` unchanged (`settings`).
    pub settings: Option<PathBuf>,
    /// Position of `settings` in `waxseal.toml`.
    pub settings_span: Range<usize>,
    /// Handling of a message that the policy failed on (`on-error`).
    pub on_error: OnError,
    /// Consecutive different messages that it may fail on, if the previous version decides them, before an automatic rollback
    /// (`roll-back-after`); 0 is unlimited.
    pub roll_back_after: u64,
    /// Share of recent messages that it may fail on likewise (`roll-back-share`); `None` is unlimited.
    pub roll_back_share: Option<Share>,
    /// Whether changed files are activated automatically (`watch`).
    pub watch: bool,
    /// Test files, and folders of them, that a version must pass before it is activated (`tests`).
    pub tests: Vec<PathBuf>,
}

/// Handling of a message that the policy failed on (R28). Failures of anything else defer the message, whatever this setting is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Defer it: the client retries, and nothing is lost.
    #[default]
    Defer,
    /// Reject it.
    Reject,
    /// Accept it unchanged: not relayed, not signed.
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
    /// Processing time of a complete message (`processing-time`).
    pub processing_time: Duration,
    /// Limits on the quantities of a message (`message-size`, `header-size`, `header-fields`, `recipients`, `addresses`, `parts`).
    pub message: message::Limits,
    /// Bytes of memory for messages of all connections together (`held`).
    pub held: usize,
    /// Concurrent connections of the milter server (`connections`).
    pub connections: usize,
    /// Time limit for the first commands of a new connection (`first-command-time`).
    pub first_command_time: Duration,
    /// Concurrent decisions (`decisions`).
    pub decisions: u32,
    /// Counters that policies may create in a day (`new-counters`).
    pub new_counters: u64,
    /// Time limit for messages in flight when the daemon stops (`stop-time`).
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

/// A socket to which the MTA connects.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name, for policies and logs.
    pub name: String,
    /// Its address.
    pub address: ListenAddress,
    /// Position of `address` in `waxseal.toml`.
    pub address_span: Range<usize>,
    /// Its mode.
    pub mode: Mode,
    /// Mode bits of a Unix socket (`socket-mode`, default 0660).
    pub socket_mode: u32,
    /// Group of a Unix socket (`socket-group`).
    pub socket_group: Option<String>,
    /// Concurrent connections (`connections`); by default an equal share of those of all listeners.
    pub connections: Option<usize>,
    /// In mode `split`: address of Postfix's smtpd for it (`smtpd`).
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

/// Mode of a listener: which mail is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mail of logged-in users and of listed networks is processed; all other mail passes unchanged (R20).
    Mixed,
    /// All mail is outgoing: the MTA accepts only senders that may submit.
    Submission,
    /// Routing only: copies of a message with local and remote recipients return here, one for each recipient.
    Split,
}

/// Which mail is outgoing on a listener of mode `mixed` (R20).
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Clients in these networks (`networks`).
    pub networks: Vec<IpNet>,
    /// Position of `networks` in `waxseal.toml`.
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
    /// Whether its certificate must be valid for `host`.
    pub verify_certificate: bool,
    /// Certificates to trust, PEM; by default the system's.
    pub ca_file: Option<PathBuf>,
    /// Login, if required.
    pub login: Option<Login>,
    /// Daily limit of messages; `None` is unlimited.
    pub daily_maximum: Option<u64>,
    /// Whether it supports 8BITMIME (RFC 6152). If not, 8-bit text is encoded before it is signed.
    pub eight_bit: bool,
    /// Position of its table in `waxseal.toml`.
    pub span: Range<usize>,
}

/// Connection security of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (port 465, RFC 8314).
    Tls,
    /// STARTTLS, required (RFC 3207).
    StartTls,
    /// None.
    None,
}

/// Login at a relay. The secret is in a file of its own.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub user: String,
    /// File whose first line is the password.
    pub password_file: PathBuf,
}

/// The MTA's own route, which ends every list of relays.
#[derive(Clone, Debug)]
pub struct DefaultRoute {
    /// Daily limit of messages; `None` is unlimited.
    pub daily_maximum: Option<u64>,
    /// Handling of messages over the limit.
    pub when_full: WhenFull,
    /// Whether next hops support 8BITMIME (RFC 6152).
    pub eight_bit: bool,
}

/// DKIM keys.
#[derive(Clone, Debug)]
pub struct Dkim {
    /// Folder of the keys of `waxseal dkim`: `DOMAIN/SELECTOR.pem`.
    pub keys: PathBuf,
    /// Generate a key for each domain that the policy signs for and that has none.
    pub generate: bool,
    /// Validity of a signature (`expire`); `None` is unlimited.
    pub expire: Option<Duration>,
    /// Signing domains that need not be aligned with the author (`allow-unaligned`).
    pub allow_unaligned: Vec<UnalignedPair>,
    /// `[[dkim.key]]`: key files elsewhere.
    pub files: Vec<KeyFile>,
}

/// An author's domain and an unaligned signing domain (RFC 9989), which the administrator permits together.
#[derive(Clone, Debug)]
pub struct UnalignedPair {
    /// The author's domain, including subdomains; `None` is any (`"*"`).
    pub author: Option<Domain>,
    /// Signing domain (`d=`).
    pub sign: Domain,
    /// Position of its table in `waxseal.toml`.
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
    /// Position of its table in `waxseal.toml`.
    pub span: Range<usize>,
}

/// How messages are edited (R22).
#[derive(Clone, Debug)]
pub struct Editing {
    /// Wrap signed and encrypted mail in a multipart with the disclaimer, instead of leaving it unchanged.
    pub wrap: bool,
    /// Insert disclaimers into replies.
    pub replies: bool,
    /// Insert disclaimers into mail of mailing lists.
    pub lists: bool,
}

/// A lookup table: a file of lines `key value`.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, as policies query it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Position of its table in `waxseal.toml`.
    pub span: Range<usize>,
}

/// A recording of decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its folder (`folder`).
    pub folder: PathBuf,
    /// The stored part of messages (`messages`).
    pub messages: MessageStorage,
    /// Maximum bytes on disk (`maximum`).
    pub maximum: u64,
    /// Share of the messages that is recorded (`share`).
    pub share: Share,
}

/// The stored part of a message in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStorage {
    /// The complete message: it can be replayed, and exported as a test.
    Full,
    /// Its SHA-256: it can be found in an archive.
    Digest,
}

/// The control socket of the daemon.
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
    /// Details for diagnosis.
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
    /// Write one JSON object per line instead of text.
    pub json: bool,
    /// Minimum level that is written: `error`, `warn`, `info`, `debug`.
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
