//! Content filters that the Postfix of this machine shows: ways by which mail
//! that came in from outside comes back in from this machine itself.
//!
//! The files are read as they are. What a filter really does cannot be seen from
//! them, so each way that Waxseal's milters look at is reported.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::lines::parameters;
use super::master_cf::{Entry, entries};
use waxseal::config::Config;
use waxseal::pipeline::Reinjection;
use waxseal_system::input_file;

/// Parameters that send mail through a content filter.
const FILTERS: [&str; 2] = ["content_filter", "smtpd_proxy_filter"];

/// The ways by which a content filter can hand mail back to the Postfix whose
/// configuration is in `folder`, past no milter of ours. None where there is no
/// such configuration, or not ours to read.
pub fn reinjections(folder: &Path, config: &Config) -> Vec<Reinjection> {
    let read = |name: &str| {
        let path = folder.join(name);
        let text = input_file::read_text(&path, input_file::CONFIGURATION).unwrap_or_default();
        (path, text)
    };
    let place = |path: &Path, line: usize| format!("{}:{line}", path.display());
    let (main, master) = (read("main.cf"), read("master.cf"));
    let services: Vec<Service> = entries(&master.1)
        .filter_map(|entry| Service::of(place(&master.0, entry.line), &entry, config))
        .collect();
    let back: Vec<&Service> = services.iter().filter(|service| service.back).collect();
    let open: Vec<Reinjection> = back
        .iter()
        .filter(|service| !service.without_milters)
        .map(|service| service.way.clone())
        .collect();
    if !back.is_empty() {
        return open;
    }
    // No port for the way back: by `sendmail`, or by the port that mail came in.
    let set = parameters(&main.1)
        .filter(|it| FILTERS.contains(&it.name.as_str()) && !it.value.is_empty())
        .map(|it| Reinjection {
            place: place(&main.0, it.line),
            text: format!("{} = {}", it.name, it.value),
        });
    let given = services.iter().filter(|service| service.filters);
    set.chain(given.map(|service| service.way.clone()))
        .collect()
}

/// An smtpd or pickup of `master.cf` that is not Waxseal's own.
struct Service {
    way: Reinjection,
    /// It listens on loopback alone: for programs of this machine.
    back: bool,
    without_milters: bool,
    filters: bool,
}

impl Service {
    fn of(place: String, entry: &Entry, config: &Config) -> Option<Self> {
        if !matches!(entry.command.as_str(), "smtpd" | "pickup" | "postscreen") {
            return None;
        }
        let own = |smtpd: SocketAddr| smtpd.to_string() == entry.name;
        if config.listeners.iter().filter_map(|it| it.smtpd).any(own) {
            return None;
        }
        let is_set = |name: &&str| entry.option(name).is_some_and(|value| !value.is_empty());
        let filters = FILTERS.iter().any(is_set);
        let is_port = entry.kind == "inet" && entry.command == "smtpd" && is_loopback(&entry.name);
        Some(Self {
            way: Reinjection {
                place,
                text: entry.title(),
            },
            back: is_port && !filters,
            without_milters: entry.is_without_milters(),
            filters,
        })
    }
}

/// Whether `ADDRESS:PORT` is one that programs of this machine alone reach.
fn is_loopback(name: &str) -> bool {
    let Some((address, _)) = name.rsplit_once(':') else {
        return false;
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let parsed = address.parse::<IpAddr>();
    parsed.map_or(address == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SPLIT: &str =
        "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8892\n";

    fn ways(main: &str, master: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("main.cf"), main).expect("written");
        fs::write(folder.path().join("master.cf"), format!("{SPLIT}{master}")).expect("written");
        let text = "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n[[listener]]\nname = \"back\"\n\
            mode = \"split\"\naddress = \"inet:127.0.0.1:8892\"\nsmtpd = \"127.0.0.1:10025\"\n";
        let config = waxseal::config::read_text(Path::new("w.toml"), text).expect("config");
        let shown = |way: Reinjection| {
            let place = Path::new(&way.place).file_name().unwrap_or_default();
            format!("{} {}", place.display(), way.text)
        };
        let ways = reinjections(folder.path(), &config);
        ways.into_iter().map(shown).collect()
    }

    #[test]
    fn m2_a_port_for_the_way_back_is_seen_unless_it_has_no_milters() {
        let amavis = "# the way back\n127.0.0.1:10026 inet n - n - - smtpd\n  -o content_filter=\n";
        let main = "content_filter =\n  smtp-amavis:[127.0.0.1]:10024\n";
        assert_eq!(
            ways(main, amavis),
            ["master.cf:4 127.0.0.1:10026 inet smtpd"]
        );
        for without in [
            "  -o receive_override_options=no_address_mappings,no_milters\n",
            "  -o { receive_override_options = no_header_body_checks no_milters }\n",
            "  -o smtpd_milters=\n",
        ] {
            assert_eq!(
                ways(main, &format!("{amavis}{without}")),
                [""; 0],
                "{without}"
            );
        }
        let localhost = "[::1]:10026 inet n - n - - smtpd\n";
        assert_eq!(ways("", localhost), ["master.cf:3 [::1]:10026 inet smtpd"]);
    }

    #[test]
    fn m2_a_filter_without_such_a_port_comes_back_by_another_way() {
        assert_eq!(
            ways("# x\n\ncontent_filter = filter:dummy\n", ""),
            ["main.cf:3 content_filter = filter:dummy"]
        );
        let given = "smtp inet n - y - - smtpd\n  -o content_filter=filter:dummy\n";
        assert_eq!(ways("", given), ["master.cf:3 smtp inet smtpd"]);
    }

    #[test]
    fn m2_a_postfix_without_a_filter_shows_none_and_our_own_port_is_none() {
        let usual = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n\
            192.0.2.1:25 inet n - y - - smtpd\nbroken line\n";
        assert_eq!(ways("content_filter =\nmyhostname = x\n", usual), [""; 0]);
        let config = "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n";
        let config = waxseal::config::read_text(Path::new("w.toml"), config).expect("config");
        assert_eq!(reinjections(Path::new("/nonexistent"), &config), []);
    }
}
