//! Names of relays in Postfix.
//!
//! `FILTER transport:nexthop` selects the route of a message. `waxseal postfix`
//! writes the names made here into `master.cf`, and the generated
//! `milter_header_checks` accepts no others.

use std::net::SocketAddr;

use crate::config::{Relay, RelayName};

/// Prefix of the transports in `master.cf` and of their `syslog_name`. No other
/// service of a mail server has it.
pub const TRANSPORT_PREFIX: &str = "waxseal-";

/// The transport to the split listener, one recipient at a time. The
/// configuration rejects a relay of this name.
pub const SPLIT_TRANSPORT: &str = "waxseal-split";

/// The transport of a relay in `master.cf`.
pub fn transport(name: &RelayName) -> String {
    format!("{TRANSPORT_PREFIX}{name}")
}

/// The nexthop of a relay, `[host]:port`: no MX lookup.
pub fn nexthop(relay: &Relay) -> String {
    format!("[{}]:{}", relay.host, relay.port)
}

/// The argument of `FILTER` for a relay, `waxseal-NAME:[host]:port`.
pub fn destination(relay: &Relay) -> String {
    format!("{}:{}", transport(&relay.name), nexthop(relay))
}

/// The argument of `FILTER` for the split listener with its smtpd at `address`.
pub fn split_destination(address: SocketAddr) -> String {
    format!("{SPLIT_TRANSPORT}:[{}]:{}", address.ip(), address.port())
}
