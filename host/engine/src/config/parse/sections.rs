//! The tables of `waxseal.toml` that contain no paths. Every key has a default.

use std::ops::Range;
use std::time::Duration;

use ipnet::IpNet;
use waxseal_settings::Table as Toml;

use crate::config::{
    ByteSize, DefaultRoute, Domain, Editing, Limits, Log, LogLevel, Outgoing, Share, UnalignedPair,
};
use waxseal_core::decision::WhenFull;
use waxseal_core::message;

pub(super) fn limits(table: Option<&Toml<'_>>) -> Limits {
    let bytes = |key: &str, default: usize| {
        table
            .and_then(|table| table.parsed::<ByteSize>(key, "a size, like \"50 MiB\""))
            .map_or(default, |size| size.value.0)
    };
    let number = |key: &str, range, default: u64| {
        table
            .and_then(|table| table.integer(key, range))
            .map_or(default, |number| number.value)
    };
    let time = |key: &str, default: Duration| {
        table
            .and_then(|table| duration(table, key))
            .unwrap_or(default)
    };
    let usual = Limits::default();
    let most = usual.message;
    Limits {
        decision_time: time("decision-time", usual.decision_time),
        instructions: number("instructions", 1..=u64::MAX, usual.instructions),
        memory: bytes("memory", usual.memory),
        processing_time: time("processing-time", usual.processing_time),
        message: message::Limits {
            size: bytes("message-size", most.size),
            header_size: bytes("header-size", most.header_size),
            header_fields: number("header-fields", 1..=1_000_000, most.header_fields as u64)
                as usize,
            recipients: number("recipients", 1..=1_000_000, most.recipients as u64) as usize,
            addresses: number("addresses", 1..=1_000_000, most.addresses as u64) as usize,
            // `message` has the same limit.
            parts: number("parts", 1..=50_000, most.parts as u64) as usize,
        },
        held: bytes("held", usual.held),
        connections: number("connections", 1..=100_000, usual.connections as u64) as usize,
        first_command_time: time("first-command-time", usual.first_command_time),
        decisions: number("decisions", 1..=1_000, u64::from(usual.decisions)) as u32,
        new_counters: number("new-counters", 0..=10_000_000, usual.new_counters),
        stop_time: time("stop-time", usual.stop_time),
    }
}

fn duration(table: &Toml<'_>, key: &str) -> Option<Duration> {
    let expected = "a time, like \"250ms\" or \"5s\"";
    let span: Range<usize> = table.span_of(key)?;
    let value = table.parsed::<jiff::SignedDuration>(key, expected)?.value;
    let duration = Duration::try_from(value)
        .ok()
        .filter(|duration| !duration.is_zero());
    if duration.is_none() {
        table.problem(
            span,
            format!("`{key}` must be greater than zero"),
            Some(expected.into()),
        );
    }
    duration
}

pub(super) fn outgoing(table: Option<&Toml<'_>>) -> Outgoing {
    let expected = "a network like \"192.0.2.0/24\", or an address";
    let networks = table.and_then(|table| table.parsed_list::<Network>("networks", expected));
    let usual = Outgoing::default();
    Outgoing {
        networks: networks
            .unwrap_or_default()
            .into_iter()
            .map(|network| network.value.0)
            .collect(),
        networks_span: table
            .and_then(|table| table.span_of("networks"))
            .unwrap_or(usual.networks_span),
        logins: table
            .and_then(|table| table.boolean("logins"))
            .unwrap_or(usual.logins),
    }
}

/// A network, or a single address.
struct Network(IpNet);

impl std::str::FromStr for Network {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<std::net::IpAddr>() {
            Ok(address) => Ok(Self(IpNet::from(address))),
            Err(_) => text.parse::<IpNet>().map(|network| Self(network.trunc())),
        }
    }
}

/// Minimum validity of a signature: a message may wait that long for a next hop, and one that arrives with an expired signature is
/// treated as unsigned.
const MIN_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum validity: ten years, far from any overflow.
const MAX_EXPIRY: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// `expire` and `allow-unaligned` of `[dkim]`.
pub(super) fn signing(table: Option<&Toml<'_>>) -> (Option<Duration>, Vec<UnalignedPair>) {
    let Some(table) = table else {
        return (None, Vec::new());
    };
    let pairs = table.tables("allow-unaligned");
    let pairs = pairs.iter().filter_map(unaligned_pair).collect();
    (expiry(table), pairs)
}

fn expiry(table: &Toml<'_>) -> Option<Duration> {
    let expected = "a time from \"1d\" to \"3650d\", like \"7d\"";
    let span = table.parsed::<jiff::Span>("expire", expected)?;
    let seconds = span.value.total((
        jiff::Unit::Second,
        jiff::SpanRelativeTo::days_are_24_hours(),
    ));
    // Months and years have no fixed length; they are reported as out of range.
    let expiry = seconds
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|expiry| (MIN_EXPIRY..=MAX_EXPIRY).contains(expiry));
    if expiry.is_none() {
        let message = "`expire` is out of range".to_owned();
        table.problem(span.span, message, Some(expected.to_owned()));
    }
    expiry
}

fn unaligned_pair(table: &Toml<'_>) -> Option<UnalignedPair> {
    table.require("author", "the author's domain, or \"*\" for any");
    table.require("sign", "the signing domain");
    let author = match table.string("author") {
        Some(any) if any.value == "*" => None,
        _ => Some(table.parsed::<Domain>("author", "a domain name, or \"*\" for any")),
    };
    let sign = table.parsed::<Domain>("sign", "a domain name");
    Some(UnalignedPair {
        author: match author {
            None => None,
            Some(author) => Some(author?.value),
        },
        sign: sign?.value,
        span: table.span(),
    })
}

pub(super) fn default_route(table: Option<&Toml<'_>>) -> DefaultRoute {
    let words = [("defer", WhenFull::Defer), ("reject", WhenFull::Reject)];
    let usual = DefaultRoute::default();
    DefaultRoute {
        daily_maximum: table
            .and_then(|table| table.integer("daily-maximum", 0..=u64::MAX))
            .map(|maximum| maximum.value),
        when_full: table
            .and_then(|table| table.choice("when-full", &words))
            .unwrap_or(usual.when_full),
        eight_bit: table
            .and_then(|table| table.boolean("eight-bit"))
            .unwrap_or(usual.eight_bit),
    }
}

pub(super) fn editing(table: Option<&Toml<'_>>) -> Editing {
    let flag = |key: &str, default: bool| {
        table
            .and_then(|table| table.boolean(key))
            .unwrap_or(default)
    };
    let usual = Editing::default();
    Editing {
        wrap: flag("wrap", usual.wrap),
        replies: flag("replies", usual.replies),
        lists: flag("lists", usual.lists),
    }
}

/// Minimum size of a recording: a smaller one would not have room for a message of usual size in each of its segments.
const MIN_RECORDING: u64 = 8 << 20;

/// Maximum and share of a recording.
pub(super) fn recorded(table: &Toml<'_>) -> (u64, Share) {
    let expected = "a size of at least 8 MiB, like \"1 GiB\"";
    let maximum = table.parsed::<ByteSize>("maximum", expected);
    if let Some(given) = &maximum
        && (given.value.0 as u64) < MIN_RECORDING
    {
        table.problem(
            given.span.clone(),
            "`maximum` is too small".to_owned(),
            Some(expected.to_owned()),
        );
    }
    let share = table.parsed::<Share>(
        "share",
        "a percentage of more than 0% and at most 100%, like \"10%\"",
    );
    (
        maximum.map_or(1 << 30, |given| given.value.0 as u64),
        share.map_or(Share::ALL, |share| share.value),
    )
}

pub(super) fn log(table: Option<&Toml<'_>>) -> Log {
    let formats = [("text", false), ("json", true)];
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];
    let usual = Log::default();
    Log {
        json: table
            .and_then(|table| table.choice("format", &formats))
            .unwrap_or(usual.json),
        level: table
            .and_then(|table| table.choice("level", &levels))
            .unwrap_or(usual.level),
    }
}
