//! Relays as Postfix transports.

use std::path::Path;

use super::model::{PASSWORD_MAP, PasswordMap, Service, Setting};
use waxseal::config::{Login, Relay, Security};
use waxseal::relay::{SPLIT_TRANSPORT, nexthop, transport};

/// Timeouts of smtp(8) for each step. With its defaults, a relay that hangs delays a
/// message by a quarter of an hour.
///
/// The timeout after the final dot is that of RFC 5321 (section 4.5.3.2.6): a shorter
/// one causes duplicate messages.
const TIMEOUTS: [(&str, &str); 10] = [
    ("smtp_connect_timeout", "10s"),
    ("smtp_helo_timeout", "30s"),
    ("smtp_starttls_timeout", "30s"),
    ("smtp_mail_timeout", "60s"),
    ("smtp_rcpt_timeout", "60s"),
    ("smtp_data_init_timeout", "60s"),
    ("smtp_data_xfer_timeout", "180s"),
    ("smtp_data_done_timeout", "600s"),
    ("smtp_rset_timeout", "20s"),
    ("smtp_quit_timeout", "20s"),
];

/// Folder of the system certificates on Debian, Red Hat and derivatives.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs";

/// The transport of a relay.
pub(super) fn relay(relay: &Relay, folder: &Path) -> Service {
    let name = transport(&relay.name);
    let mut settings = common(&name);
    settings.extend(tls(relay));
    settings.extend(login(relay, folder));
    settings.extend(TIMEOUTS.map(|(name, value)| Setting::new(name, value)));
    Service {
        purpose: format!("relay \"{}\": {}", relay.name, nexthop(relay)),
        name,
        kind: "unix",
        command: "smtp",
        settings,
    }
}

/// The transport that sends a message to the split listener, one recipient at a
/// time (the limit is set in `main.cf`).
pub(super) fn split() -> Service {
    let mut settings = common(SPLIT_TRANSPORT);
    settings.extend(
        [
            ("smtp_tls_wrappermode", "no"),
            ("smtp_tls_security_level", "none"),
            ("smtp_sasl_auth_enable", "no"),
            // The listener gets the message as it was queued: rewriting of
            // outgoing mail is applied after it.
            ("smtp_generic_maps", ""),
            ("smtp_header_checks", ""),
            ("smtp_mime_header_checks", ""),
            ("smtp_nested_header_checks", ""),
            ("smtp_body_checks", ""),
        ]
        .map(|(name, value)| Setting::new(name, value)),
    );
    Service {
        purpose: "returns mail with local and remote recipients, one recipient at a time".into(),
        name: SPLIT_TRANSPORT.into(),
        kind: "unix",
        command: "smtp",
        settings,
    }
}

/// Parameters of all generated transports: a syslog name, no connection cache, no
/// fallback relay.
fn common(name: &str) -> Vec<Setting> {
    vec![
        Setting::new("syslog_name", format!("postfix/{name}")),
        Setting::new("smtp_connection_cache_on_demand", "no"),
        Setting::new("smtp_fallback_relay", ""),
    ]
}

fn tls(relay: &Relay) -> Vec<Setting> {
    let wrapper = if relay.security == Security::Tls {
        "yes"
    } else {
        "no"
    };
    let mut settings = vec![
        // A policy map of main.cf would override the level below.
        Setting::new("smtp_tls_policy_maps", ""),
        Setting::new("smtp_tls_wrappermode", wrapper),
    ];
    let level = match relay.security {
        Security::None => "none",
        Security::Tls | Security::StartTls if relay.verify_certificate => "secure",
        Security::Tls | Security::StartTls => "encrypt",
    };
    settings.push(Setting::new("smtp_tls_security_level", level));
    if level != "secure" {
        return settings;
    }
    settings.push(Setting::new("smtp_tls_secure_cert_match", &relay.host));
    // "secure" requires trusted certificates.
    match &relay.ca_file {
        Some(file) => settings.extend([
            Setting::new("smtp_tls_CAfile", file.display().to_string()),
            Setting::new("smtp_tls_CApath", ""),
            Setting::new("tls_append_default_CA", "no"),
        ]),
        None => settings.extend([
            Setting::new("smtp_tls_CAfile", ""),
            Setting::new("smtp_tls_CApath", SYSTEM_CERTIFICATES),
            Setting::new("tls_append_default_CA", "yes"),
        ]),
    }
    settings
}

fn login(relay: &Relay, folder: &Path) -> Vec<Setting> {
    let Some(map) = password_map(relay, folder) else {
        return vec![Setting::new("smtp_sasl_auth_enable", "no")];
    };
    vec![
        Setting::new("smtp_sasl_auth_enable", "yes"),
        Setting::new(
            "smtp_sasl_password_maps",
            format!("texthash:{}", map.file.display()),
        ),
        // The default disables PLAIN and LOGIN, the only mechanisms of most
        // relays.
        Setting::new("smtp_sasl_security_options", "noanonymous"),
        Setting::new("smtp_sasl_tls_security_options", "noanonymous"),
        Setting::new("smtp_sender_dependent_authentication", "no"),
    ]
}

/// The password map of a relay with a login.
pub(super) fn password_map(relay: &Relay, folder: &Path) -> Option<PasswordMap> {
    let Login {
        user,
        password_file,
    } = relay.login.as_ref()?;
    Some(PasswordMap {
        relay: relay.name.to_string(),
        file: folder.join(format!("{}.{PASSWORD_MAP}", relay.name)),
        key: nexthop(relay),
        user: user.clone(),
        password_file: password_file.clone(),
    })
}

/// A note for the administrator about the settings of a relay.
pub(super) fn note(relay: &Relay) -> Option<String> {
    let name = &relay.name;
    if relay.login.is_some() && relay.security == Security::None {
        return Some(format!(
            "relay \"{name}\": the password is sent unencrypted; set `security`"
        ));
    }
    let is_address = relay.host.parse::<std::net::IpAddr>().is_ok();
    if is_address && relay.security != Security::None && relay.verify_certificate {
        return Some(format!(
            "relay \"{name}\": Postfix verifies certificates by host name, and `host` is an IP \
             address; use the host name, or set `verify-certificate = false`"
        ));
    }
    None
}
