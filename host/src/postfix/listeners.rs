//! Milter listeners, seen from Postfix: which service speaks to which.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::model::{Attachment, Service, Setting};
use super::transports;
use crate::config::{Config, ListenAddress, Listener, Mode};
use crate::relay::SPLIT_TRANSPORT;

/// How long Postfix waits for Waxseal to accept a connection, to answer a
/// command, and to decide on a whole message.
const TIMEOUTS: [(&str, &str); 3] = [
    ("milter_connect_timeout", "10s"),
    ("milter_command_timeout", "30s"),
    ("milter_content_timeout", "120s"),
];

/// What listeners add to a [`Setup`](super::Setup).
pub(super) struct Listeners {
    pub(super) main: Vec<Setting>,
    pub(super) services: Vec<Service>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) notes: Vec<String>,
}

/// The milters of `main.cf` and of `master.cf`.
///
/// The first listener of mode `mixed` is everybody's, in `main.cf`. Others are
/// for services that the administrator gives them to. Local submission goes
/// to the listener that decides on it: `mixed` where there is one.
///
/// A socket in Postfix's queue folder is named relative to it, which is right
/// within the chroot and outside.
pub(super) fn of(config: &Config, queue: &Path) -> Listeners {
    let first = |mode| {
        config
            .listeners
            .iter()
            .find(|listener| listener.mode == mode)
    };
    let mixed = first(Mode::Mixed);
    let local = mixed.or_else(|| first(Mode::Submission));
    let mut made = Listeners {
        main: Vec::new(),
        services: Vec::new(),
        attachments: Vec::new(),
        notes: Vec::new(),
    };
    if let Some(listener) = mixed {
        made.main
            .push(Setting::new("smtpd_milters", milter(listener, queue)));
    }
    if let Some(listener) = local {
        made.main
            .push(Setting::new("non_smtpd_milters", milter(listener, queue)));
        made.main.extend([
            // A message that Waxseal could not decide on must wait: any other
            // action would let it out half edited, or unsigned.
            Setting::new("milter_default_action", "tempfail"),
            Setting::new("milter_protocol", "6"),
        ]);
        made.main
            .extend(TIMEOUTS.map(|(name, value)| Setting::new(name, value)));
    }
    for listener in &config.listeners {
        made.notes.extend(note(listener, queue));
        match (listener.mode, listener.smtpd) {
            (Mode::Split, Some(smtpd)) => made.services.push(split_smtpd(listener, smtpd, queue)),
            (Mode::Split, None) => {}
            (Mode::Mixed, _) if mixed.is_some_and(|first| std::ptr::eq(first, listener)) => {}
            (Mode::Mixed | Mode::Submission, _) => {
                made.attachments.push(attachment(listener, queue))
            }
        }
    }
    if !made.services.is_empty() {
        made.services.insert(0, transports::split());
        made.main.push(Setting::new(
            format!("{SPLIT_TRANSPORT}_destination_recipient_limit"),
            "1",
        ));
    }
    made
}

fn attachment(listener: &Listener, queue: &Path) -> Attachment {
    let services = match listener.mode {
        Mode::Submission => {
            "submission (587) and submissions (465), which take mail only from senders who may submit"
        }
        Mode::Mixed | Mode::Split => "the services that this listener is meant for",
    };
    Attachment {
        listener: listener.name.clone(),
        services: services.into(),
        settings: vec![Setting::new("smtpd_milters", milter(listener, queue))],
    }
}

/// The smtpd that takes each recipient's copy and lets Waxseal route it.
///
/// It is isolated: whatever Postfix does to a message on its way in has been
/// done once, when the message came. Done again it would add header fields,
/// rewrite addresses or send copies twice, and break the signature.
fn split_smtpd(listener: &Listener, smtpd: SocketAddr, queue: &Path) -> Service {
    let networks = match smtpd.ip() {
        IpAddr::V4(_) => "127.0.0.0/8",
        IpAddr::V6(_) => "[::1]/128",
    };
    let milter = milter(listener, queue);
    let settings = [
        ("syslog_name", "postfix/waxseal-split"),
        ("smtpd_milters", milter.as_str()),
        ("milter_default_action", "tempfail"),
        ("content_filter", ""),
        ("smtpd_proxy_filter", ""),
        ("local_header_rewrite_clients", ""),
        (
            "receive_override_options",
            "no_unknown_recipient_checks,no_address_mappings,no_header_body_checks",
        ),
        ("mynetworks", networks),
        ("smtpd_client_restrictions", ""),
        ("smtpd_helo_restrictions", ""),
        ("smtpd_sender_restrictions", ""),
        ("smtpd_relay_restrictions", "permit_mynetworks,reject"),
        ("smtpd_recipient_restrictions", ""),
        ("smtpd_data_restrictions", ""),
        ("smtpd_end_of_data_restrictions", ""),
        ("smtpd_sasl_auth_enable", "no"),
        ("smtpd_tls_security_level", "none"),
        ("smtpd_tls_wrappermode", "no"),
        // All connections are Postfix's own, from one address.
        ("smtpd_client_connection_count_limit", "0"),
        ("smtpd_client_connection_rate_limit", "0"),
        ("smtpd_client_message_rate_limit", "0"),
        ("smtpd_client_recipient_rate_limit", "0"),
    ];
    Service {
        purpose: format!(
            "listener \"{}\": takes the copies that {SPLIT_TRANSPORT} brings",
            listener.name
        ),
        name: smtpd.to_string(),
        kind: "inet",
        command: "smtpd",
        settings: settings
            .map(|(name, value)| Setting::new(name, value))
            .into(),
    }
}

/// A listener as `smtpd_milters` takes it.
fn milter(listener: &Listener, queue: &Path) -> String {
    match &listener.address {
        ListenAddress::Tcp(address) if address.is_ipv6() => {
            format!("inet:[{}]:{}", address.ip(), address.port())
        }
        ListenAddress::Tcp(address) => format!("inet:{}:{}", address.ip(), address.port()),
        ListenAddress::Unix(path) => {
            let within = path.strip_prefix(queue).unwrap_or(path);
            format!("unix:{}", within.display())
        }
    }
}

fn note(listener: &Listener, queue: &Path) -> Option<String> {
    let name = &listener.name;
    match &listener.address {
        ListenAddress::Unix(path) if !path.starts_with(queue) => Some(format!(
            "listener \"{name}\": its socket is outside {}; a Postfix service that runs in a chroot (`y` in column 5 of \
             master.cf, as Debian has it) cannot reach it there",
            queue.display()
        )),
        _ if listener.mode == Mode::Split
            && listener
                .smtpd
                .is_some_and(|smtpd| !smtpd.ip().is_loopback()) =>
        {
            Some(format!(
                "listener \"{name}\": its smtpd listens on a network; give it a loopback address"
            ))
        }
        _ if listener.mode == Mode::Split
            && listener.smtpd.is_some_and(|smtpd| smtpd.port() == 25) =>
        {
            Some(format!(
                "listener \"{name}\": on port 25 Postfix takes its own copies for a mail loop; \
                 use another port"
            ))
        }
        _ => None,
    }
}
