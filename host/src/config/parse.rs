//! From the text of `waxseal.toml` to [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use thiserror::Error;
use waxseal_settings::{Entry, Table as Toml};

use super::{
    Admin, Config, Dkim, Domain, KeepMessages, KeyFile, ListenAddress, Listener, Login, Mode,
    OnError, Policy, Problem, Record, Relay, RelayName, Security, Severity, Share, ShareOrNone,
    Source, Table, sections,
};
use crate::input_file;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{} problem(s) in the configuration; the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Problems(Vec<Problem>),
}

/// Reads `waxseal.toml`.
///
/// # Errors
///
/// When the file cannot be read, or with all its mistakes at once.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    whole(examine(path)?)
}

/// The same from a text; `path` gives the folder that paths are relative to.
///
/// # Errors
///
/// With all mistakes at once.
pub fn read_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
    whole(examine_text(path, text))
}

/// Reads `waxseal.toml` for what can be said about it: its mistakes, and as
/// much of the configuration as there is in spite of them. With mistakes it is
/// not fit for use.
///
/// # Errors
///
/// When the file cannot be read.
pub fn examine(path: &Path) -> Result<(Option<Config>, Vec<Problem>), ConfigError> {
    let text = input_file::read_text(path, input_file::CONFIGURATION).map_err(|error| {
        ConfigError::Read {
            path: path.to_owned(),
            error,
        }
    })?;
    Ok(examine_text(path, &text))
}

fn whole((config, problems): (Option<Config>, Vec<Problem>)) -> Result<Config, ConfigError> {
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError::Problems(problems)),
    }
}

fn examine_text(path: &Path, text: &str) -> (Option<Config>, Vec<Problem>) {
    let source = Source {
        path: path.to_owned(),
        text: text.into(),
    };
    let reader = Reader::new(&source, Form::Whole);
    let (config, problems) = waxseal_settings::read(text, |top| reader.config(top));
    let problems = problems.into_iter().map(|problem| {
        source.problem(
            Severity::Error,
            problem.span,
            problem.message,
            problem.expected,
        )
    });
    (config, problems.collect())
}

/// Reads the same tables out of a file that holds other things too: a policy
/// test. What a test has no use for may be left out there: the host's name,
/// where relays are. `policy` and `settings` may stand at the top, too.
///
/// None where something that is needed is missing, which is noted then.
pub(crate) fn read_within(source: &Source, top: &Toml<'_>) -> Option<Config> {
    Reader::new(source, Form::Within).config(top)
}

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A whole `waxseal.toml`.
    Whole,
    /// Its tables within another file.
    Within,
}

/// Folder of the state, beside `waxseal.toml`.
const STATE: &str = "state";

/// The control channel's socket, in the folder of the state.
const SOCKET: &str = "admin.sock";

/// Where the control channel is, from the folder of `waxseal.toml`, unless that
/// says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "state/admin.sock";

/// Messages in a row: more than one client's bad luck, few enough that a minute
/// of mail goes back to the version before.
const ROLL_BACK_AFTER: u64 = 20;

/// Half of the mail: what hits less of it is reported, and left to people.
const ROLL_BACK_SHARE: Option<Share> = Some(Share::HALF);

struct Reader {
    folder: PathBuf,
    source: Source,
    form: Form,
}

impl Reader {
    fn new(source: &Source, form: Form) -> Self {
        Self {
            folder: source.path.parent().unwrap_or(Path::new("")).to_owned(),
            source: source.clone(),
            form,
        }
    }

    fn config(&self, top: &Toml<'_>) -> Option<Config> {
        let hostname =
            top.parsed::<Domain>("hostname", "this host's name, like \"mail.example.org\"");
        let hostname = match (hostname, self.form) {
            (None, Form::Within) => Some(HOSTNAME_WITHIN.to_owned()),
            (hostname, _) => {
                top.require("hostname", "this host's name, like \"mail.example.org\"");
                hostname.map(|name| name.value.to_string())
            }
        };
        let time_zone = self.time_zone(top);
        let state = self
            .path(top, "state")
            .unwrap_or_else(|| self.folder.join(STATE));
        let local_domains = top
            .parsed_list::<Domain>("local-domains", "domain names")
            .unwrap_or_default()
            .into_iter()
            .map(|domain| domain.value)
            .collect();
        top.require("policy", "a table with the policy's `file`");
        let policy = match (self.form, top.type_of("policy")) {
            (Form::Within, Some("string")) => self.bare_policy(top),
            _ => top.table("policy").and_then(|table| self.policy(&table)),
        };
        let relays = self.relays(top);
        let listeners = self.listeners(top);
        // What is required comes last: `?` must not keep other tables unread.
        Some(Config {
            source: self.source.clone(),
            time_zone,
            local_domains,
            limits: sections::limits(top.table("limits").as_ref()),
            outgoing: sections::outgoing(top.table("outgoing").as_ref()),
            default_route: sections::default_route(top.table("default-route").as_ref()),
            dkim: self.dkim(top.table("dkim").as_ref()),
            editing: sections::editing(top.table("editing").as_ref()),
            tables: self.tables(top),
            record: top.table("record").and_then(|table| self.record(&table)),
            admin: Admin {
                socket: top
                    .table("admin")
                    .and_then(|table| self.path(&table, "socket"))
                    .unwrap_or_else(|| state.join(SOCKET)),
            },
            log: sections::log(top.table("log").as_ref()),
            state,
            listeners,
            relays,
            hostname: hostname?,
            policy: policy?,
        })
    }

    fn path(&self, table: &Toml<'_>, key: &str) -> Option<PathBuf> {
        let text = table.string(key)?;
        if text.value.is_empty() {
            table.problem(
                text.span,
                format!("`{key}` is empty"),
                Some("a path".into()),
            );
            return None;
        }
        Some(self.folder.join(text.value))
    }

    fn time_zone(&self, top: &Toml<'_>) -> TimeZone {
        let Some(name) = top.string("time-zone") else {
            return TimeZone::UTC;
        };
        TimeZone::get(&name.value).unwrap_or_else(|error| {
            let expected = "an IANA name, like \"Europe/Berlin\"".to_owned();
            top.problem(name.span, error.to_string(), Some(expected));
            TimeZone::UTC
        })
    }

    fn policy(&self, table: &Toml<'_>) -> Option<Policy> {
        table.require("file", "the policy's component, a .wasm file");
        let file = self.path(table, "file");
        let settings = self.path(table, "settings");
        let on_error = table.choice(
            "on-error",
            &[
                ("defer", OnError::Defer),
                ("reject", OnError::Reject),
                ("accept", OnError::Accept),
            ],
        );
        let roll_back_after = table.integer("roll-back-after", 0..=10_000);
        let expected = "a part of the messages, like \"50%\", or \"0%\" for never";
        let roll_back_share = table.parsed::<ShareOrNone>("roll-back-share", expected);
        let watch = table.boolean("watch");
        let tests = table.parsed_list::<PathBuf>("tests", "test files, or folders of them");
        let tests = tests.unwrap_or_default().into_iter();
        let tests = tests.map(|path| self.folder.join(path.value)).collect();
        Some(Policy {
            file: file?,
            file_span: table.span_of("file").unwrap_or_default(),
            settings,
            settings_span: table.span_of("settings").unwrap_or_default(),
            on_error: on_error.unwrap_or_default(),
            roll_back_after: roll_back_after.map_or(ROLL_BACK_AFTER, |number| number.value),
            roll_back_share: roll_back_share.map_or(ROLL_BACK_SHARE, |share| share.value.0),
            watch: watch.unwrap_or(true),
            tests,
        })
    }

    /// `policy = "FILE"` and `settings = "FILE"`, without a table. Settings of
    /// several lines are the settings themselves and not a file of them.
    fn bare_policy(&self, top: &Toml<'_>) -> Option<Policy> {
        let file = self.path(top, "policy");
        let settings = top
            .string("settings")
            .filter(|settings| !settings.value.contains('\n'))
            .and_then(|_| self.path(top, "settings"));
        Some(Policy {
            file: file?,
            file_span: top.span_of("policy").unwrap_or_default(),
            settings,
            settings_span: top.span_of("settings").unwrap_or_default(),
            on_error: OnError::default(),
            roll_back_after: ROLL_BACK_AFTER,
            roll_back_share: ROLL_BACK_SHARE,
            watch: true,
            tests: Vec::new(),
        })
    }

    fn listeners(&self, top: &Toml<'_>) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for table in top.tables("listener") {
            let Some(listener) = self.listener(&table) else {
                continue;
            };
            if listeners.iter().any(|other| other.name == listener.name) {
                let message = format!("there are two listeners named \"{}\"", listener.name);
                table.problem(table.span(), message, None);
            }
            if listeners
                .iter()
                .any(|other| other.address == listener.address)
            {
                let message = format!("two listeners have the address {}", listener.address);
                table.problem(table.span(), message, None);
            }
            listeners.push(listener);
        }
        listeners
    }

    fn listener(&self, table: &Toml<'_>) -> Option<Listener> {
        let modes = [
            ("mixed", Mode::Mixed),
            ("submission", Mode::Submission),
            ("split", Mode::Split),
        ];
        let mode = table.choice("mode", &modes).unwrap_or(Mode::Mixed);
        table.require("name", "a name for logs and policies");
        table.require("address", EXPECTED_ADDRESS);
        let name = table.string("name");
        let socket_mode = table.parsed::<Octal>("socket-mode", "octal mode bits, like \"0660\"");
        let connections = table.integer("connections", 1..=100_000);
        let socket_group = table.string("socket-group").map(|group| group.value);
        let smtpd =
            table.parsed::<SocketAddr>("smtpd", "where Postfix listens, like \"127.0.0.1:10025\"");
        match mode {
            Mode::Split => table.require(
                "smtpd",
                "where Postfix listens for it, like \"127.0.0.1:10025\"",
            ),
            _ => {
                if let Some(smtpd) = &smtpd {
                    let message = "`smtpd` belongs to listeners of mode \"split\" only";
                    table.problem(smtpd.span.clone(), message, None);
                }
            }
        }
        Some(Listener {
            address: self.listen_address(table)?,
            address_span: table.span_of("address").unwrap_or_default(),
            name: name?.value,
            mode,
            socket_mode: socket_mode.map_or(0o660, |mode| mode.value.0),
            socket_group,
            connections: connections.map(|number| number.value as usize),
            smtpd: smtpd.map(|address| address.value),
        })
    }

    fn listen_address(&self, table: &Toml<'_>) -> Option<ListenAddress> {
        let text = table.string("address")?;
        if let Some(path) = text
            .value
            .strip_prefix("unix:")
            .filter(|path| !path.is_empty())
        {
            return Some(ListenAddress::Unix(self.folder.join(path)));
        }
        let address = text
            .value
            .strip_prefix("inet:")
            .and_then(|address| address.parse().ok());
        if address.is_none() {
            let message = format!("`address` is \"{}\"", text.value);
            table.problem(text.span, message, Some(EXPECTED_ADDRESS.into()));
        }
        address.map(ListenAddress::Tcp)
    }

    fn relays(&self, top: &Toml<'_>) -> Vec<Relay> {
        let entries = top.named_tables("relay");
        entries
            .iter()
            .filter_map(|entry| self.relay(entry))
            .collect()
    }

    fn relay(&self, entry: &Entry<'_>) -> Option<Relay> {
        let table = &entry.table;
        let name = self.relay_name(entry);
        if self.form == Form::Whole {
            table.require("host", "the relay's host name or address");
        }
        let host = match (table.span_of("host"), self.form) {
            (None, Form::Within) => Some(format!("{}.test", entry.name.value)),
            _ => self.relay_host(table),
        };
        let port = table
            .integer("port", 1..=65535)
            .map_or(587, |port| port.value as u16);
        let security = table.choice(
            "security",
            &[
                ("tls", Security::Tls),
                ("starttls", Security::StartTls),
                ("none", Security::None),
            ],
        );
        let relay = Relay {
            login: self.login(table),
            verify_certificate: table.boolean("verify-certificate").unwrap_or(true),
            ca_file: self.path(table, "ca-file"),
            daily_maximum: table
                .integer("daily-maximum", 0..=u64::MAX)
                .map(|maximum| maximum.value),
            eight_bit: table.boolean("eight-bit").unwrap_or(true),
            security: security.unwrap_or(if port == 465 {
                Security::Tls
            } else {
                Security::StartTls
            }),
            span: entry.name.span.clone(),
            name: name?,
            host: host?,
            port,
        };
        Some(relay)
    }

    fn relay_name(&self, entry: &Entry<'_>) -> Option<RelayName> {
        let problem = match entry.name.value.parse::<RelayName>() {
            Ok(name) if RESERVED_RELAY_NAMES.contains(&name.as_str()) => {
                format!("the name \"{name}\" is taken by a transport of Waxseal's own")
            }
            Ok(name) => return Some(name),
            Err(error) => error.to_string(),
        };
        entry.table.problem(entry.name.span.clone(), problem, None);
        None
    }

    fn relay_host(&self, table: &Toml<'_>) -> Option<String> {
        let host = table.string("host")?;
        if host.value.parse::<std::net::IpAddr>().is_ok() {
            return Some(host.value);
        }
        if let Ok(name) = host.value.parse::<Domain>() {
            // As it is written where that is ASCII: it stands in Postfix's log.
            return Some(match host.value.is_ascii() {
                true => host.value,
                false => name.to_string(),
            });
        }
        let message = format!("`host` is \"{}\"", host.value);
        table.problem(
            host.span,
            message,
            Some("a host name or an IP address, without a port".into()),
        );
        None
    }

    fn login(&self, table: &Toml<'_>) -> Option<Login> {
        let user = table.string("user");
        let password_file = self.path(table, "password-file");
        match (&user, &password_file) {
            (Some(_), None) => {
                table.require("password-file", "a file whose first line is the password")
            }
            (None, Some(_)) => table.require("user", "the user name at the relay"),
            _ => {}
        }
        if let Some(user) = &user
            && user.value.contains([':', '\n', '\r'])
        {
            let message = "`user` holds a colon or a line end, which Postfix cannot carry";
            table.problem(user.span.clone(), message, None);
        }
        Some(Login {
            user: user?.value,
            password_file: password_file?,
        })
    }

    fn record(&self, table: &Toml<'_>) -> Option<Record> {
        let expected = "\"keep\": it is people's mail, in files; or \"digest\"";
        table.require("folder", "a folder of its own for the recording");
        table.require("messages", expected);
        let words = [
            ("keep", KeepMessages::Whole),
            ("digest", KeepMessages::Digest),
        ];
        let folder = self.path(table, "folder");
        let messages = table.choice("messages", &words);
        let (maximum, share) = sections::recorded(table);
        Some(Record {
            folder: folder?,
            messages: messages?,
            maximum,
            share,
        })
    }

    fn dkim(&self, table: Option<&Toml<'_>>) -> Dkim {
        let keys = table.and_then(|table| self.path(table, "keys"));
        let files = table.map_or_else(Vec::new, |table| {
            let keys = table.tables("key");
            keys.iter().filter_map(|key| self.key_file(key)).collect()
        });
        let (expire, allow_unaligned) = sections::signing(table);
        Dkim {
            keys: keys.unwrap_or_else(|| self.folder.join("keys")),
            generate: table
                .and_then(|table| table.boolean("generate"))
                .unwrap_or(false),
            expire,
            allow_unaligned,
            files,
        }
    }

    fn key_file(&self, table: &Toml<'_>) -> Option<KeyFile> {
        for key in ["domain", "selector", "file"] {
            table.require(key, "a text in quotes");
        }
        let domain = table.parsed::<Domain>("domain", "a domain name");
        let selector = table.parsed::<Domain>("selector", "a selector, like \"mail2026\"");
        let file = self.path(table, "file");
        Some(KeyFile {
            domain: domain?.value,
            selector: selector?.value.as_str().to_owned(),
            file: file?,
            span: table.span(),
        })
    }

    fn tables(&self, top: &Toml<'_>) -> Vec<Table> {
        let entries = top.named_tables("table");
        entries
            .iter()
            .filter_map(|entry| {
                entry.table.require("file", "a file of lines `key value`");
                Some(Table {
                    name: entry.name.value.clone(),
                    file: self.path(&entry.table, "file")?,
                    span: entry.name.span.clone(),
                })
            })
            .collect()
    }
}

/// Name of the host where a test gives none.
const HOSTNAME_WITHIN: &str = "mail.test";

/// Names that no relay may have, since its transport's name would be one of
/// ours.
const RESERVED_RELAY_NAMES: [&str; 2] = ["split", "return"];

const EXPECTED_ADDRESS: &str = "\"unix:PATH\" or \"inet:ADDRESS:PORT\"";

/// Mode bits as `chmod` takes them.
struct Octal(u32);

impl std::str::FromStr for Octal {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u32::from_str_radix(text, 8).map(|mode| Self(mode & 0o777))
    }
}
