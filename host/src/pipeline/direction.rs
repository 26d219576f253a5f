//! Which mail is ours to decide on (R20).
//!
//! Only outgoing mail is: a milter that signs by `From` alone signs what
//! strangers write. Everything else passes untouched.

use crate::config::{Config, Listener, Mode};
use crate::message::Client;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out: the policy decides.
    Outgoing,
    /// It has been decided on and comes back for its route only.
    Returning,
    /// Not ours to decide on.
    Passing(Passing),
}

/// Why a message passes untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It is no logged-in user's, and from none of the listed networks.
    Stranger,
}

impl Direction {
    /// The direction of mail from this client through a listener of that mode.
    pub fn of(config: &Config, mode: Mode, client: &Client) -> Self {
        let outgoing = match mode {
            Mode::Split => return Self::Returning,
            Mode::Submission => true,
            Mode::Mixed => {
                let logged_in = config.outgoing.logins && client.user.is_some();
                let listed = client.address.is_some_and(|address| {
                    let networks = &config.outgoing.networks;
                    networks
                        .iter()
                        .any(|network| network.contains(&address.to_canonical()))
                });
                logged_in || listed
            }
        };
        if outgoing {
            Self::Outgoing
        } else {
            Self::Passing(Passing::Stranger)
        }
    }
}

impl Direction {
    /// The direction of a message that no MTA hands in: a trial, or a test. With
    /// neither a user nor an address it comes from a program on this host, and is
    /// outgoing; else it is as the MTA would give it, through the listener that is
    /// named, or the one that fits.
    pub fn of_trial(config: &Config, listener: Option<&Listener>, client: &Client) -> Self {
        if client.user.is_none() && client.address.is_none() {
            return Self::Outgoing;
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
        Self::of(config, mode, client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let of = |client: &Client| Direction::of(&config, Mode::Mixed, client);
        let stranger = Direction::Passing(Passing::Stranger);
        assert_eq!(of(&client("192.0.2.9", None)), Direction::Outgoing);
        assert_eq!(of(&client("2001:db8::1", None)), Direction::Outgoing);
        assert_eq!(of(&client("::ffff:192.0.2.9", None)), Direction::Outgoing);
        assert_eq!(
            of(&client("198.51.100.1", Some("ann"))),
            Direction::Outgoing
        );
        assert_eq!(of(&client("198.51.100.1", None)), stranger);
        assert_eq!(of(&client("", None)), stranger);
    }

    #[test]
    fn r20_logins_can_be_switched_off_and_submission_listeners_need_none() {
        let config = config("logins = false");
        let ann = client("198.51.100.1", Some("ann"));
        assert_ne!(
            Direction::of(&config, Mode::Mixed, &ann),
            Direction::Outgoing
        );
        assert_eq!(
            Direction::of(&config, Mode::Submission, &ann),
            Direction::Outgoing
        );
        assert_eq!(
            Direction::of(&config, Mode::Split, &ann),
            Direction::Returning
        );
    }
}
