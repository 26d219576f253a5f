//! Relays as the MTA knows them: the transport and nexthop of each.
//!
//! Postfix is told where a message goes by `FILTER transport:nexthop`. The
//! names made here are those that `waxseal postfix` writes into `master.cf`, and
//! the only ones that its `milter_header_checks` lets through.

use std::net::SocketAddr;

use crate::config::{Relay, RelayName};

/// Begins the name of every transport of ours in `master.cf`, and its
/// `syslog_name`: nothing else in a mail server has it.
pub const TRANSPORT_PREFIX: &str = "waxseal-";

/// The transport that brings a message back one recipient at a time. The
/// configuration allows no relay of that name.
pub const SPLIT_TRANSPORT: &str = "waxseal-split";

/// Name of a relay's transport in `master.cf`.
pub fn transport(name: &RelayName) -> String {
    format!("{TRANSPORT_PREFIX}{name}")
}

/// `[host]:port`, as Postfix writes a nexthop without MX look-up.
pub fn nexthop(relay: &Relay) -> String {
    format!("[{}]:{}", relay.host, relay.port)
}

/// What `FILTER` takes for a relay: `waxseal-NAME:[host]:port`.
pub fn destination(relay: &Relay) -> String {
    format!("{}:{}", transport(&relay.name), nexthop(relay))
}

/// What `FILTER` takes for the split listener whose smtpd is at `address`.
pub fn split_destination(address: SocketAddr) -> String {
    format!("{SPLIT_TRANSPORT}:[{}]:{}", address.ip(), address.port())
}
