//! Postfix services and parameters for the milter listeners.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::model::{Attachment, Merge, Service, Setting};
use super::transports;
use waxseal::config::{Config, ListenAddress, Listener, Mode};
use waxseal::relay::SPLIT_TRANSPORT;

/// Options of each milter, which stand with it, so that those of the
/// administrator's other milters stay as they are.
///
/// A message without a decision must be deferred: any other action would send it
/// partly edited or unsigned. The times are for connecting, for a command, and for
/// a complete message.
const OPTIONS: &str =
    "default_action=tempfail, connect_timeout=10s, command_timeout=30s, content_timeout=120s";

/// The part of a [`Setup`](super::Setup) for listeners.
pub(super) struct Listeners {
    pub(super) main: Vec<Setting>,
    pub(super) services: Vec<Service>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) notes: Vec<String>,
}

/// The milters of `main.cf` and of `master.cf`.
///
/// The first listener of mode `mixed` is the default in `main.cf`; the administrator
/// adds others to services. Local submission uses the `mixed` listener, or else the
/// first `submission` listener.
///
/// The path of a socket in the queue directory is relative to it, which works with
/// and without a chroot.
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
    let mut add = |name: &str, listener: &Listener| {
        let setting = Setting::new(name, milter(listener, queue));
        made.main.push(setting.merged(Merge::MilterLast));
    };
    if let Some(listener) = mixed {
        add("smtpd_milters", listener);
    }
    if let Some(listener) = local {
        add("non_smtpd_milters", listener);
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
            "submission (587) and submissions (465), which accept mail from authenticated senders only"
        }
        Mode::Mixed | Mode::Split => "the services that use this listener",
    };
    Attachment {
        listener: listener.name.clone(),
        services: services.into(),
        settings: vec![Setting::new("smtpd_milters", milter(listener, queue))],
    }
}

/// The smtpd that accepts the copy for each recipient, for Waxseal to route.
///
/// All input processing of Postfix is disabled: it was applied when the message was
/// received. Repeating it would add header fields, rewrite addresses or duplicate
/// copies, and break the signature.
fn split_smtpd(listener: &Listener, smtpd: SocketAddr, queue: &Path) -> Service {
    let networks = match smtpd.ip() {
        IpAddr::V4(_) => "127.0.0.0/8",
        IpAddr::V6(_) => "[::1]/128",
    };
    let milter = milter(listener, queue);
    let settings = [
        ("syslog_name", "postfix/waxseal-split"),
        ("smtpd_milters", milter.as_str()),
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
        // All connections come from Postfix itself, from one address.
        ("smtpd_client_connection_count_limit", "0"),
        ("smtpd_client_connection_rate_limit", "0"),
        ("smtpd_client_message_rate_limit", "0"),
        ("smtpd_client_recipient_rate_limit", "0"),
    ];
    Service {
        purpose: format!(
            "listener \"{}\": accepts the copies sent by {SPLIT_TRANSPORT}",
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

/// A listener with its options in the syntax of `smtpd_milters`.
fn milter(listener: &Listener, queue: &Path) -> String {
    format!("{{ {}, {OPTIONS} }}", address(listener, queue))
}

fn address(listener: &Listener, queue: &Path) -> String {
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
            "listener \"{name}\": the socket is outside {}; a Postfix service that runs in a chroot (`y` in column 5 of \
             master.cf, the default on Debian) cannot connect to it",
            queue.display()
        )),
        _ if listener.mode == Mode::Split
            && listener
                .smtpd
                .is_some_and(|smtpd| !smtpd.ip().is_loopback()) =>
        {
            Some(format!(
                "listener \"{name}\": smtpd listens on a network address; use a loopback address"
            ))
        }
        _ if listener.mode == Mode::Split
            && listener.smtpd.is_some_and(|smtpd| smtpd.port() == 25) =>
        {
            Some(format!(
                "listener \"{name}\": Postfix treats its own copies on port 25 as a mail loop; \
                 use another port"
            ))
        }
        _ => None,
    }
}
