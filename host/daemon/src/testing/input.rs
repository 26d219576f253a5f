//! Input of a case: the message and the facts for its decision.
//!
//! `[defaults]`, cases and rows have the same keys; a row overrides its case, and a
//! case overrides the defaults. Tables are merged key by key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use waxseal_settings::{Spanned, Table};

use super::dns;
use waxseal::config::Domain;
use waxseal_core::message::{Address, ReversePath};

/// A header field that is set or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// No field of that name.
    Absent,
    /// Replace all fields of that name by fields with these values.
    Values(Vec<String>),
}

/// Input of a case. `None`: not set.
#[derive(Clone, Debug, Default)]
pub(super) struct CaseInput {
    /// A path, or the message itself if it has several lines.
    pub(super) message: Option<Spanned<String>>,
    pub(super) header: BTreeMap<String, Field>,
    pub(super) sender: Option<ReversePath>,
    pub(super) recipients: Option<Vec<Address>>,
    /// Empty for none, here and below.
    pub(super) user: Option<String>,
    pub(super) client_ip: Option<Option<IpAddr>>,
    pub(super) client_name: Option<String>,
    pub(super) helo: Option<String>,
    pub(super) tls: Option<String>,
    pub(super) listener: Option<Spanned<String>>,
    pub(super) arrival: Option<Timestamp>,
    /// Units spent, by counter.
    pub(super) used: BTreeMap<String, u64>,
    /// Whether relays are on.
    pub(super) relays: BTreeMap<String, Spanned<bool>>,
    /// Whether domains are authenticated.
    pub(super) domains: BTreeMap<String, bool>,
    /// Values by table and key; `None` for an absent key.
    pub(super) tables: BTreeMap<(String, String), Option<String>>,
    pub(super) dns: dns::GivenRecords,
    /// Sending addresses by relay, and of the default route.
    pub(super) sends_from: BTreeMap<String, Spanned<Vec<IpAddr>>>,
    /// Domains that relays sign for.
    pub(super) signs: BTreeMap<String, Vec<Domain>>,
}

impl CaseInput {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            message: table.string("message"),
            header: header(table),
            sender: sender(table),
            recipients: values(table.parsed_list("recipients", "addresses")),
            user: value(table.string("user")),
            client_ip: client_ip(table),
            client_name: value(table.string("client-name")),
            helo: value(table.string("helo")),
            tls: value(table.string("tls")),
            listener: table.string("listener"),
            arrival: arrival(table),
            used: used(table),
            relays: relays(table),
            domains: domains(table),
            tables: tables(table),
            dns: records(table),
            sends_from: sends_from(table),
            signs: signs(table),
        }
    }

    /// Reads the keys that are also allowed at the top of a file: facts that its cases
    /// share.
    pub(super) fn read_shared(top: &Table<'_>) -> Self {
        Self {
            dns: records(top),
            sends_from: sends_from(top),
            signs: signs(top),
            ..Self::default()
        }
    }

    /// This input, with defaults from `base`.
    pub(super) fn over(self, base: &Self) -> Self {
        Self {
            message: self.message.or_else(|| base.message.clone()),
            header: over(self.header, &base.header),
            sender: self.sender.or_else(|| base.sender.clone()),
            recipients: self.recipients.or_else(|| base.recipients.clone()),
            user: self.user.or_else(|| base.user.clone()),
            client_ip: self.client_ip.or(base.client_ip),
            client_name: self.client_name.or_else(|| base.client_name.clone()),
            helo: self.helo.or_else(|| base.helo.clone()),
            tls: self.tls.or_else(|| base.tls.clone()),
            listener: self.listener.or_else(|| base.listener.clone()),
            arrival: self.arrival.or(base.arrival),
            used: over(self.used, &base.used),
            relays: over(self.relays, &base.relays),
            domains: over(self.domains, &base.domains),
            tables: over(self.tables, &base.tables),
            dns: over(self.dns, &base.dns),
            sends_from: over(self.sends_from, &base.sends_from),
            signs: over(self.signs, &base.signs),
        }
    }
}

pub(super) fn over<K: Ord + Clone, V: Clone>(
    mut own: BTreeMap<K, V>,
    base: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    for (key, value) in base {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
    own
}

fn value<T>(spanned: Option<Spanned<T>>) -> Option<T> {
    spanned.map(|spanned| spanned.value)
}

fn values<T>(spanned: Option<Vec<Spanned<T>>>) -> Option<Vec<T>> {
    spanned.map(|list| list.into_iter().map(|item| item.value).collect())
}

/// The entries of a table with user-defined keys.
fn each<T>(
    table: &Table<'_>,
    key: &str,
    mut read: impl FnMut(&Table<'_>, &str) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(inner) = table.table(key) else {
        return BTreeMap::new();
    };
    let names = inner.keys().into_iter().map(|name| name.value);
    names
        .filter_map(|name| {
            let value = read(&inner, &name)?;
            Some((name, value))
        })
        .collect()
}

fn header(table: &Table<'_>) -> BTreeMap<String, Field> {
    each(table, "header", |fields, name| {
        if fields.type_of(name) == Some("boolean") {
            if fields.boolean(name) == Some(true) {
                let expected = "a value, a list of values, or false to remove the field";
                let span = fields.span_of(name).unwrap_or_default();
                fields.problem(span, format!("`{name}` is true"), Some(expected.into()));
            }
            return Some(Field::Absent);
        }
        let values = fields.strings(name)?;
        let values: Vec<String> = values.into_iter().map(|value| value.value).collect();
        if let Some(bad) = values.iter().find(|value| value.contains(['\r', '\n'])) {
            let span = fields.span_of(name).unwrap_or_default();
            fields.problem(
                span,
                format!("{bad:?} contains a line break"),
                Some("one line".into()),
            );
        }
        Some(Field::Values(values))
    })
}

fn sender(table: &Table<'_>) -> Option<ReversePath> {
    let text = table.string("sender")?;
    match ReversePath::parse_bytes(text.value.as_bytes()) {
        Ok(path) => Some(path),
        Err(error) => {
            let message = format!("`sender` is \"{}\": {error}", text.value);
            let expected = "an address, or \"\" for the null sender";
            table.problem(text.span, message, Some(expected.into()));
            None
        }
    }
}

fn client_ip(table: &Table<'_>) -> Option<Option<IpAddr>> {
    let text = table.string("client-ip")?;
    if text.value.is_empty() {
        return Some(None);
    }
    let address = table.parsed::<IpAddr>("client-ip", "an IP address, or \"\" for none");
    address.map(|address| Some(address.value))
}

fn arrival(table: &Table<'_>) -> Option<Timestamp> {
    let text = table.moment("arrival")?;
    match text.value.parse() {
        Ok(moment) => Some(moment),
        Err(error) => {
            let error: jiff::Error = error;
            let expected = "a time with offset, like 2026-10-05T09:30:00+09:00";
            let message = format!("`arrival` is {}: {error}", text.value);
            table.problem(text.span, message, Some(expected.into()));
            None
        }
    }
}

fn used(table: &Table<'_>) -> BTreeMap<String, u64> {
    each(table, "used", |counters, name| {
        counters
            .integer(name, 0..=u64::MAX)
            .map(|units| units.value)
    })
}

fn relays(table: &Table<'_>) -> BTreeMap<String, Spanned<bool>> {
    let words = [("on", true), ("off", false), ("resting", false)];
    each(table, "relays", |relays, name| {
        let value = relays.choice(name, &words)?;
        let span = relays.span_of(name).unwrap_or_default();
        Some(Spanned { value, span })
    })
}

fn domains(table: &Table<'_>) -> BTreeMap<String, bool> {
    let domains = each(table, "domains", |domains, name| domains.boolean(name));
    domains
        .into_iter()
        .map(|(name, known)| (name.to_ascii_lowercase(), known))
        .collect()
}

fn tables(table: &Table<'_>) -> BTreeMap<(String, String), Option<String>> {
    let mut entries = BTreeMap::new();
    for entry in table.named_tables("tables") {
        for key in entry.table.keys() {
            let value = match entry.table.type_of(&key.value) {
                Some("boolean") => entry.table.boolean(&key.value).map(|_| None),
                _ => value(entry.table.string(&key.value)).map(Some),
            };
            if let Some(value) = value {
                entries.insert((entry.name.value.clone(), key.value), value);
            }
        }
    }
    entries
}

/// `[dns]`: by name, a text or several for TXT, or a table of all types.
fn records(table: &Table<'_>) -> dns::GivenRecords {
    let named = each(table, "dns", |names, name| {
        if names.type_of(name) != Some("table") {
            let txt = values(names.strings(name))?;
            return Some(dns::Records {
                txt,
                ..dns::Records::default()
            });
        }
        let of = names.table(name)?;
        Some(dns::Records {
            txt: values(of.strings("txt")).unwrap_or_default(),
            a: values(of.parsed_list("a", "IPv4 addresses")).unwrap_or_default(),
            aaaa: values(of.parsed_list("aaaa", "IPv6 addresses")).unwrap_or_default(),
            mx: values(of.parsed_list::<Exchange>("mx", EXPECTED_EXCHANGE))
                .unwrap_or_default()
                .into_iter()
                .map(|exchange| (exchange.preference, exchange.name))
                .collect(),
            ptr: values(of.strings("ptr")).unwrap_or_default(),
        })
    });
    named
        .into_iter()
        .map(|(name, records)| (name.trim_end_matches('.').to_ascii_lowercase(), records))
        .collect()
}

const EXPECTED_EXCHANGE: &str = "a preference and a host, like \"10 mail.example.org\"";

struct Exchange {
    preference: u16,
    name: String,
}

impl std::str::FromStr for Exchange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (preference, name) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or("missing preference before the host")?;
        Ok(Self {
            preference: preference
                .parse()
                .map_err(|_| "invalid preference: expected a number up to 65535")?,
            name: name.trim().to_owned(),
        })
    }
}

fn signs(table: &Table<'_>) -> BTreeMap<String, Vec<Domain>> {
    each(table, "signs", |relays, name| {
        values(relays.parsed_list(name, "domain names"))
    })
}

fn sends_from(table: &Table<'_>) -> BTreeMap<String, Spanned<Vec<IpAddr>>> {
    each(table, "sends-from", |routes, name| {
        let span = routes.span_of(name).unwrap_or_default();
        let value = values(routes.parsed_list(name, "IP addresses"))?;
        Some(Spanned { value, span })
    })
}
