//! Classification of a message by its listener and client (R20).
//!
//! Only outgoing mail is processed: a milter that signs by `From` alone signs
//! what strangers write. Everything else passes unchanged.

use std::net::Ipv4Addr;

use crate::config::{Config, Listener, Mode};
use waxseal_core::message::Client;

/// Direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Outgoing,
    Returning,
    Passing(PassReason),
}

/// Why a message passes unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassReason {
    /// The client is not logged in, and in none of the listed networks.
    Stranger,
}

/// The direction of mail of this client through a listener of this mode.
///
/// Mail that a command on the MTA's own host submitted (`sendmail`) has no
/// client: it is classified as mail of the loopback address.
pub(super) fn way(config: &Config, mode: Mode, client: &Client, submitted_locally: bool) -> Way {
    let address = match submitted_locally {
        true => Some(Ipv4Addr::LOCALHOST.into()),
        false => client.address,
    };
    let outgoing = match mode {
        Mode::Split => return Way::Returning,
        Mode::Submission => true,
        Mode::Mixed => {
            let logged_in = config.outgoing.logins && client.user.is_some();
            let listed = address.is_some_and(|address| {
                let networks = &config.outgoing.networks;
                networks
                    .iter()
                    .any(|network| network.contains(&address.to_canonical()))
            });
            logged_in || listed
        }
    };
    match outgoing {
        true => Way::Outgoing,
        false => Way::Passing(PassReason::Stranger),
    }
}

/// The direction of a message that no MTA submitted. Without user and address
/// its submitter is trusted, as a program on this host would be. With one of
/// them it is classified as the MTA's mail is, through the given listener, or
/// through the one that the configuration suggests.
pub(super) fn way_of_dry_run(config: &Config, listener: Option<&Listener>, client: &Client) -> Way {
    if client.user.is_none() && client.address.is_none() {
        return Way::Outgoing;
    }
    let has = |mode| {
        config
            .listeners
            .iter()
            .any(|listener| listener.mode == mode)
    };
    let mode = match listener {
        Some(listener) => listener.mode,
        None if has(Mode::Submission) && !has(Mode::Mixed) => Mode::Submission,
        None => Mode::Mixed,
    };
    way(config, mode, client, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Way = Way::Passing(PassReason::Stranger);

    fn config(outgoing: &str) -> Config {
        let text =
            format!("hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n[outgoing]\n{outgoing}\n");
        crate::config::read_text(std::path::Path::new("w.toml"), &text).expect("config")
    }

    fn client(address: &str, user: Option<&str>) -> Client {
        Client::default()
            .with_address(address.parse().ok())
            .with_user(user.map(str::to_owned))
    }

    #[test]
    fn r20_only_logins_and_listed_networks_are_outgoing() {
        let config = config("networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]");
        let of = |client: &Client| way(&config, Mode::Mixed, client, false);
        assert_eq!(of(&client("192.0.2.9", None)), Way::Outgoing);
        assert_eq!(of(&client("2001:db8::1", None)), Way::Outgoing);
        assert_eq!(of(&client("::ffff:192.0.2.9", None)), Way::Outgoing);
        assert_eq!(of(&client("198.51.100.1", Some("ann"))), Way::Outgoing);
        assert_eq!(of(&client("198.51.100.1", None)), STRANGER);
        assert_eq!(of(&client("", None)), STRANGER);
    }

    #[test]
    fn r20_logins_can_be_switched_off_and_submission_listeners_need_none() {
        let config = config("logins = false");
        let ann = client("198.51.100.1", Some("ann"));
        assert_eq!(way(&config, Mode::Mixed, &ann, false), STRANGER);
        assert_eq!(way(&config, Mode::Submission, &ann, false), Way::Outgoing);
        assert_eq!(way(&config, Mode::Split, &ann, false), Way::Returning);
    }

    #[test]
    fn r20_mail_of_local_commands_is_outgoing_where_loopback_is_listed() {
        let command = Client::default();
        let listed = config("networks = [\"127.0.0.0/8\"]");
        let not_listed = config("networks = [\"192.0.2.0/24\"]");
        assert_eq!(way(&listed, Mode::Mixed, &command, true), Way::Outgoing);
        assert_eq!(way(&listed, Mode::Mixed, &command, false), STRANGER);
        assert_eq!(way(&not_listed, Mode::Mixed, &command, true), STRANGER);
    }

    #[test]
    fn dry_runs_trust_a_submitter_without_user_and_address_only() {
        let config = config("logins = true");
        let of = |client: &Client| way_of_dry_run(&config, None, client);
        assert_eq!(of(&Client::default()), Way::Outgoing);
        assert_eq!(of(&client("198.51.100.1", None)), STRANGER);
        assert_eq!(of(&client("198.51.100.1", Some("ann"))), Way::Outgoing);
    }
}
