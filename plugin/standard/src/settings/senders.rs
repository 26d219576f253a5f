//! Authorized senders of one place of the settings (R20): `users`, `networks`
//! and `unauthorized`, at the top of the file and in `[domain."acme.test"]`.

use std::convert::Infallible;
use std::net::{AddrParseError, IpAddr};
use std::str::FromStr;

use ipnet::IpNet;
use waxseal_settings::Table;

use crate::names::{Pattern, normal_login};

/// The authorized senders of one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Senders {
    /// Logins. An empty list permits no login.
    pub(crate) users: Option<Vec<Pattern>>,
    /// Clients without a login.
    pub(crate) networks: Option<Vec<IpNet>>,
    pub(crate) unauthorized: Option<Unauthorized>,
}

impl Senders {
    /// Whether this place defines authorized senders.
    pub(crate) fn is_defined(&self) -> bool {
        self.users.is_some() || self.networks.is_some()
    }
}

/// The treatment of a message from an unauthorized sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unauthorized {
    /// Reject it.
    #[default]
    Refuse,
    /// Accept it without signature and relay.
    Pass,
}

/// Reads the senders in this table.
pub(super) fn read(table: &Table<'_>) -> Senders {
    let users = table.parsed_list::<Login>("users", "logins like \"*@acme.test\" or \"crm\"");
    if let Some(empty) = users.iter().flatten().find(|it| it.value.0.0.is_empty()) {
        let expected = "a login, in which * matches any text".to_owned();
        table.problem(empty.span.clone(), "empty login in `users`", Some(expected));
    }
    let networks =
        table.parsed_list::<Network>("networks", "networks like \"192.0.2.0/24\", or addresses");
    let words = [
        ("refuse", Unauthorized::Refuse),
        ("pass", Unauthorized::Pass),
    ];
    Senders {
        users: users.map(|list| list.into_iter().map(|it| it.value.0).collect()),
        networks: networks.map(|list| list.into_iter().map(|it| it.value.0).collect()),
        unauthorized: table.choice("unauthorized", &words),
    }
}

/// A pattern of logins, with its domain in the normal form.
struct Login(Pattern);

impl FromStr for Login {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Pattern(normal_login(text.trim()).into_owned())))
    }
}

/// A network, or a single address.
struct Network(IpNet);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let address: Result<IpAddr, AddrParseError> = text.parse();
        match address {
            Ok(address) => Ok(Self(address.to_canonical().into())),
            Err(_) => match text.parse::<IpNet>() {
                Ok(network) => Ok(Self(network.trunc())),
                Err(_) => Err(NotANetwork),
            },
        }
    }
}

/// The text is neither a network nor an address.
struct NotANetwork;

impl std::fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("invalid network")
    }
}
