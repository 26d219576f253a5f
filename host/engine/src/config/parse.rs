//! Parser of `waxseal.toml`.

mod dkim;
mod listener;
mod policy;
mod relay;
mod sections;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use waxseal_settings::Table as Toml;

use super::{
    Admin, Config, ConfigError, Domain, MessageStorage, Problem, Record, Severity, Source, Table,
};
use waxseal_system::input_file;

/// Reads `waxseal.toml`.
///
/// # Errors
///
/// If the file cannot be read, or with all its problems.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    whole(examine(path)?)
}

/// As [`read`], from a text; `path` defines the folder of relative paths.
///
/// # Errors
///
/// With all problems.
pub fn read_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
    whole(examine_text(path, text))
}

/// Reads `waxseal.toml` for diagnosis: its problems, and the valid part of the configuration. With problems it must not be used.
///
/// # Errors
///
/// If the file cannot be read.
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
pub fn read_within(source: &Source, top: &Toml<'_>) -> Option<Config> {
    Reader::new(source, Form::Within).config(top)
}

/// The form of the input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A complete `waxseal.toml`.
    Whole,
    /// Its tables within another file.
    Within,
}

/// Folder of the state, next to `waxseal.toml`.
const STATE: &str = "state";

/// The control channel's socket, in the folder of the state.
const SOCKET: &str = "admin.sock";

/// Default path of the control socket, relative to the folder of `waxseal.toml`.
pub const DEFAULT_SOCKET: &str = "state/admin.sock";

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
        // Required tables come last: `?` must not skip other tables.
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

    fn record(&self, table: &Toml<'_>) -> Option<Record> {
        let expected = "\"keep\": it is people's mail, in files; or \"digest\"";
        table.require("folder", "a folder of its own for the recording");
        table.require("messages", expected);
        let words = [
            ("keep", MessageStorage::Full),
            ("digest", MessageStorage::Digest),
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

/// Default host name of a test.
const HOSTNAME_WITHIN: &str = "mail.test";
