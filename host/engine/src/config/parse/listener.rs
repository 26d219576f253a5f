//! `[[listener]]`.

use std::net::SocketAddr;

use waxseal_settings::Table as Toml;

use super::Reader;
use crate::config::{ListenAddress, Listener, Mode};

const EXPECTED_ADDRESS: &str = "\"unix:PATH\" or \"inet:ADDRESS:PORT\"";

impl Reader {
    pub(super) fn listeners(&self, top: &Toml<'_>) -> Vec<Listener> {
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
}

/// Mode bits as `chmod` takes them.
struct Octal(u32);

impl std::str::FromStr for Octal {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u32::from_str_radix(text, 8).map(|mode| Self(mode & 0o777))
    }
}
