//! Client and message data from macros and CONNECT.

use std::net::IpAddr;
use std::sync::Arc;

use crate::codec::{Macros, PeerAddress, parse_ip};
use waxseal_core::message::Client;

/// Data about the SMTP client, until the next one connects.
#[derive(Debug, Default)]
pub(super) struct ClientContext {
    mta: Option<Arc<str>>,
    name: Option<String>,
    address: Option<IpAddr>,
    pub(super) submitted_locally: bool,
    helo: Option<String>,
    tls: Option<String>,
    /// The macros of CONNECT were received, CONNECT itself not yet.
    ahead_of_connect: bool,
}

/// Data about one message, from macros.
#[derive(Debug, Default)]
pub(super) struct MessageContext {
    pub(super) queue_id: Option<String>,
    user: Option<String>,
    tls: Option<String>,
    mailer: Option<String>,
    /// The macros of MAIL were received, MAIL itself not yet.
    ahead_of_mail: bool,
}

impl ClientContext {
    /// Stores macros of CONNECT and HELO.
    pub(super) fn macros(&mut self, macros: &Macros<'_>) {
        if macros.stage == b'C' {
            *self = Self {
                ahead_of_connect: true,
                ..Self::default()
            };
        }
        for (name, value) in macros.pairs().filter(|(_, value)| !value.is_empty()) {
            match name {
                b"v" => self.mta = Some(String::from_utf8_lossy(value).into()),
                b"tls_version" => set(&mut self.tls, value),
                b"client_addr" => self.address = parse_ip(value),
                b"client_name" => self.set_name(value),
                _ => {}
            }
        }
    }

    /// Stores CONNECT, and clears data about another client (XCLIENT causes a second
    /// CONNECT on one connection).
    pub(super) fn connect(&mut self, name: &[u8], address: PeerAddress<'_>) {
        if !self.ahead_of_connect {
            *self = Self::default();
        }
        self.ahead_of_connect = false;
        match address {
            // Postfix presents mail of the `sendmail` command with port 0.
            PeerAddress::Network { address, port: 0 } if address.is_loopback() => {
                self.submitted_locally = true;
            }
            PeerAddress::Network { address, .. } => self.address = Some(address),
            PeerAddress::Local(_) => self.submitted_locally = true,
            // `sendmail -bs` without a socket is presented by this name, a client
            // whose lookup failed by another.
            PeerAddress::Unknown => {
                self.submitted_locally = name.eq_ignore_ascii_case(b"localhost")
            }
        }
        if self.submitted_locally {
            (self.address, self.name) = (None, None);
        } else if !name.starts_with(b"[") {
            // An address in brackets means that no name is verified.
            self.set_name(name);
        }
    }

    pub(super) fn helo(&mut self, name: &[u8]) {
        self.helo = Some(lossy(name));
    }

    fn set_name(&mut self, name: &[u8]) {
        if !name.is_empty() && !name.eq_ignore_ascii_case(b"unknown") {
            self.name = Some(lossy(name));
        }
    }

    /// Name and version of the MTA.
    pub(super) fn mta(&self) -> Option<Arc<str>> {
        self.mta.clone()
    }

    /// The client, for the envelope of a message.
    pub(super) fn client(&self, message: &MessageContext) -> Client {
        Client::default()
            .with_address(self.address)
            .with_name(self.name.clone())
            .with_helo(self.helo.clone())
            .with_user(message.user.clone())
            .with_tls(message.tls.clone().or_else(|| self.tls.clone()))
    }
}

impl MessageContext {
    /// Stores macros of any stage but CONNECT and HELO.
    pub(super) fn macros(&mut self, macros: &Macros<'_>) {
        if macros.stage == b'M' {
            // A login must not carry over from an earlier message.
            *self = Self {
                ahead_of_mail: true,
                ..Self::default()
            };
        }
        for (name, value) in macros.pairs().filter(|(_, value)| !value.is_empty()) {
            match name {
                b"i" => set(&mut self.queue_id, value),
                b"auth_authen" => set(&mut self.user, value),
                b"tls_version" => set(&mut self.tls, value),
                b"rcpt_mailer" => set(&mut self.mailer, value),
                _ => {}
            }
        }
    }

    /// Starts a message at MAIL. Macros belong to it only if they came right before
    /// MAIL.
    pub(super) fn begin(&mut self) {
        if !self.ahead_of_mail {
            *self = Self::default();
        }
        self.ahead_of_mail = false;
    }

    /// Takes the mailer of the next recipient.
    pub(super) fn take_mailer(&mut self) -> Option<String> {
        self.mailer.take()
    }

    /// Adds a login that was sent after MAIL.
    pub(super) fn complete(&self, client: &mut Client) {
        if client.user.is_none() {
            client.user.clone_from(&self.user);
        }
    }
}

fn set(slot: &mut Option<String>, value: &[u8]) {
    // Macros repeat with each command: an unchanged value is not allocated again.
    if slot.as_ref().is_none_or(|known| known.as_bytes() != value) {
        *slot = Some(lossy(value));
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
