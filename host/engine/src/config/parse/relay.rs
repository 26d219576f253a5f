//! `[relay.NAME]`.

use waxseal_settings::{Entry, Table as Toml};

use super::{Form, Reader};
use crate::config::{Domain, Login, Relay, RelayName, Security};

/// Names that no relay may have, since its transport's name would be one of
/// ours.
const RESERVED_RELAY_NAMES: [&str; 2] = ["split", "return"];

impl Reader {
    pub(super) fn relays(&self, top: &Toml<'_>) -> Vec<Relay> {
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
            security: security.unwrap_or(Security::of_port(port)),
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
}
