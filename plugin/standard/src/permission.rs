//! Authorization of senders (R20).
//!
//! A message names domains in three places: its authors in `From`, `Sender`,
//! and the envelope sender. Its client must be authorized for each of these
//! domains that the settings list, so that customers of one domain cannot use
//! another's relays and signatures.
//!
//! `users` authorizes logins, `networks` mail without a login. Without either, a
//! login may send for its own domain; and if at most one domain signs or has
//! relays, all outgoing mail may be of that domain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use waxseal_policy::{Message, Verdict};

use crate::author::{Sending, normal};
use crate::domains::DomainTable;
use crate::names::{Domain, domain_of, is_within, mentioned_domains, normal_login};
use crate::settings::{DomainEntry, Senders, Settings, Unauthorized};

/// Who may send for each entry of the settings.
#[derive(Debug)]
pub(crate) struct Permissions {
    /// One for each entry; last, the default entry's if it exists.
    entries: Vec<Senders>,
    /// Number of entries without the default entry.
    listed: usize,
    /// Defaults for entries that do not have these settings.
    top: Senders,
    /// Several domains sign or have relays.
    several: bool,
}

/// A domain that a message names and that its client may not send for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// In its normal form.
    pub(crate) domain: String,
    /// Where the message names it, as shown in reasons.
    pub(crate) place: &'static str,
    /// Number of the domain's entry.
    entry: usize,
}

/// The client of a message, as the MTA reports it.
struct Client {
    login: Option<Login>,
    /// Address of the client; `None` for a program on this host.
    address: Option<IpAddr>,
}

struct Login {
    /// In the form that is compared.
    name: String,
    /// In its normal form; empty if the login has none.
    domain: String,
}

impl Permissions {
    /// `active`: whether each entry signs or has relays, by number.
    pub(crate) fn new(settings: &Settings, active: &[bool]) -> Self {
        let listed = settings.domains.len();
        let entries = settings.domains.iter().chain(&settings.rest);
        Self {
            entries: entries.map(|entry| entry.senders.clone()).collect(),
            listed,
            top: settings.senders.clone(),
            several: several(active, listed),
        }
    }

    /// The first domain of the message for which its client is not authorized. The
    /// sending domain is checked first, however it was determined.
    pub(crate) fn violation(
        &self,
        message: &Message,
        sending: &Sending,
        authors: &[String],
        table: &DomainTable,
    ) -> Option<Violation> {
        if self.entries.is_empty() {
            return None;
        }
        let client = Client::of(message);
        let check = |domain: String, place: &'static str, entry: Option<usize>| {
            let entry = entry?;
            let allowed = self.allows(entry, &domain, &client, table);
            (!allowed).then_some(Violation {
                domain,
                place,
                entry,
            })
        };
        let domain = sending.domain.clone();
        let entry = table.find(&domain).or_else(|| self.rest());
        if let Some(violation) = check(domain, sending.source, entry) {
            return Some(violation);
        }
        let others = match authors {
            // The sending domain.
            [_] => &[],
            several => several,
        };
        for domain in others {
            let entry = table.find(domain).or_else(|| self.rest());
            if let Some(violation) = check(domain.clone(), "one of several authors", entry) {
                return Some(violation);
            }
        }
        for value in message.header("Sender") {
            for domain in mentioned_domains(&value).map(normal) {
                let entry = table.find(&domain);
                if let Some(violation) = check(domain, "Sender", entry) {
                    return Some(violation);
                }
            }
        }
        let sender = message.sender();
        let domain = normal(domain_of(&sender)?);
        let entry = table.find(&domain);
        check(domain, "envelope sender", entry)
    }

    /// The verdict for a message that names a domain without authorization.
    pub(crate) fn verdict(&self, violation: &Violation, message: &Message) -> Verdict {
        let own = self.entries[violation.entry].unauthorized;
        let choice = own.or(self.top.unauthorized).unwrap_or_default();
        if choice == Unauthorized::Pass || is_bounce_of_this_host(message) {
            return Verdict::Accept;
        }
        // The header is written by the sender, and a reply is ASCII.
        let domain = match violation.domain.parse::<Domain>() {
            Ok(Domain(domain)) => domain,
            Err(_) => "this domain".to_owned(),
        };
        let text = [
            "You are not allowed to send as ",
            &domain,
            ". Log in with an account that may, or ask the administrator of this server.",
        ];
        waxseal_policy::Decision::reject(550, "5.7.1", &text.concat()).verdict
    }

    fn allows(&self, entry: usize, domain: &str, client: &Client, table: &DomainTable) -> bool {
        let own = &self.entries[entry];
        let users = own.users.as_deref().or(self.top.users.as_deref());
        let networks = own.networks.as_deref().or(self.top.networks.as_deref());
        if users.is_none() && networks.is_none() && self.is_open(entry) {
            return true;
        }
        match (&client.login, users, networks) {
            (Some(login), Some(users), _) => users.iter().any(|user| user.matches(&login.name)),
            (Some(login), None, _) => {
                let same_entry = || table.find(&login.domain).or_else(|| self.rest());
                is_within(domain, &login.domain) && same_entry() == Some(entry)
            }
            (None, _, Some(networks)) => match client.address {
                Some(address) => networks.iter().any(|it| it.contains(&address)),
                None => networks.iter().any(|it| {
                    it.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))
                        || it.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST))
                }),
            },
            (None, _, None) => false,
        }
    }

    /// Whether an entry without authorized senders is open to everybody: the
    /// default entry, and the only domain that signs or has relays.
    fn is_open(&self, entry: usize) -> bool {
        !self.several || entry >= self.listed
    }

    fn rest(&self) -> Option<usize> {
        (self.entries.len() > self.listed).then_some(self.listed)
    }
}

/// Whether several domains sign or have relays.
pub(crate) fn several(active: &[bool], listed: usize) -> bool {
    active.iter().take(listed).filter(|&&it| it).count() > 1
}

/// The entries without authorized senders, their own or inherited.
pub(crate) fn without_senders(settings: &Settings) -> impl Iterator<Item = &DomainEntry> {
    let top = settings.senders.is_defined();
    let entries = settings.domains.iter();
    entries.filter(move |entry| !top && !entry.senders.is_defined())
}

impl Client {
    fn of(message: &Message) -> Self {
        let login = message.user().map(|user| Login {
            domain: user.rsplit_once('@').map_or("", |(_, it)| it).into(),
            name: normal_login(&user).into_owned(),
        });
        let login = login.map(|login| Login {
            domain: normal(&login.domain),
            ..login
        });
        let address = match login {
            // For a login, only its name matters.
            Some(_) => None,
            None => message.client_address().parse().ok(),
        };
        Self {
            login,
            address: address.map(|it: IpAddr| it.to_canonical()),
        }
    }
}

/// A bounce of the MTA or of a program on this host. If rejected, it would be
/// lost, because it cannot be returned.
fn is_bounce_of_this_host(message: &Message) -> bool {
    message.sender().is_empty() && message.user().is_none() && message.client_address().is_empty()
}
