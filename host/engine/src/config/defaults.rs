//! Defaults of the settings, for files and for configurations made from values.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::model::{
    Admin, Config, DefaultRoute, Dkim, Editing, Limits, Log, LogLevel, OnError, Outgoing, Policy,
    Relay, Security,
};
use super::problem::Source;
use super::units::{RelayName, Share};
use waxseal_core::decision::WhenFull;
use waxseal_core::message;

/// Failures in a row: more than a single client causes, and few enough to roll
/// back within a minute of mail.
pub(super) const ROLL_BACK_AFTER: u64 = 20;

/// Half of the messages: a failure of fewer is reported and left to the
/// administrator.
pub(super) const ROLL_BACK_SHARE: Option<Share> = Some(Share::HALF);

/// The span of a value that was not read from a file.
const NO_SPAN: Range<usize> = 0..0;

impl Config {
    /// The configuration of an embedding program: defaults, with this host name,
    /// folder of state and component. Change the fields as needed. Problems are
    /// reported for `waxseal.toml` without a line.
    pub fn new(
        hostname: impl Into<String>,
        state: impl Into<PathBuf>,
        component: impl Into<PathBuf>,
    ) -> Self {
        let state = state.into();
        let folder = state.parent().unwrap_or(Path::new(""));
        Self {
            source: Source {
                path: folder.join("waxseal.toml"),
                text: "".into(),
            },
            hostname: hostname.into(),
            time_zone: TimeZone::UTC,
            local_domains: Vec::new(),
            policy: Policy::new(component),
            limits: Limits::default(),
            listeners: Vec::new(),
            outgoing: Outgoing::default(),
            relays: Vec::new(),
            default_route: DefaultRoute::default(),
            dkim: Dkim::new(folder.join("keys")),
            editing: Editing::default(),
            tables: Vec::new(),
            record: None,
            admin: Admin {
                socket: state.join("admin.sock"),
            },
            log: Log::default(),
            state,
        }
    }
}

impl Policy {
    /// A component without settings, and defaults.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            file_span: NO_SPAN,
            settings: None,
            settings_span: NO_SPAN,
            on_error: OnError::default(),
            roll_back_after: ROLL_BACK_AFTER,
            roll_back_share: ROLL_BACK_SHARE,
            watch: true,
            tests: Vec::new(),
        }
    }
}

impl Relay {
    /// A relay with STARTTLS (or TLS on port 465), without login or limit.
    pub fn new(name: RelayName, host: impl Into<String>, port: u16) -> Self {
        Self {
            name,
            host: host.into(),
            port,
            security: Security::of_port(port),
            verify_certificate: true,
            ca_file: None,
            login: None,
            daily_maximum: None,
            eight_bit: true,
            span: NO_SPAN,
        }
    }
}

impl Security {
    /// The default for a port: TLS on 465, STARTTLS on others.
    pub(super) fn of_port(port: u16) -> Self {
        match port {
            465 => Self::Tls,
            _ => Self::StartTls,
        }
    }
}

impl Dkim {
    /// Keys in this folder, and defaults.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        Self {
            keys: keys.into(),
            generate: false,
            expire: None,
            allow_unaligned: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A decision takes microseconds, and instructions bound what it
            // computes; this is for one that sleeps. Far longer than a busy machine
            // keeps a thread waiting, or innocent mail would be deferred there.
            decision_time: Duration::from_secs(1),
            // About a tenth of a second of Wasm: the limit that repeats exactly,
            // where wall clock does not.
            instructions: 200_000_000,
            // Python needs about 40 MiB.
            memory: 64 << 20,
            // A message takes milliseconds, a large one tenths of a second. Longer
            // than the store may be busy, shorter than Postfix's patience with a
            // milter (300 s).
            processing_time: Duration::from_secs(30),
            message: message::Limits::default(),
            held: 512 << 20,
            connections: 1_000,
            first_command_time: Duration::from_secs(10),
            decisions: 64,
            // One for each of 50,000 users, and as many again. Each takes some 400
            // bytes in memory and 300 on disk: 40 MB at the most for a day.
            new_counters: 100_000,
            stop_time: Duration::from_secs(30),
        }
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            networks_span: NO_SPAN,
            logins: true,
        }
    }
}

impl Default for DefaultRoute {
    fn default() -> Self {
        Self {
            daily_maximum: None,
            when_full: WhenFull::Defer,
            eight_bit: true,
        }
    }
}

impl Default for Editing {
    fn default() -> Self {
        Self {
            wrap: false,
            replies: true,
            lists: false,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            json: false,
            level: LogLevel::Info,
        }
    }
}
