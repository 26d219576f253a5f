//! Warnings about third parties who could make Waxseal sign: processes that can connect to a listener, mail that a content
//! filter re-injects, and users who can write the policy's files.
//!
//! All of this works as configured, so these are warnings; what is safe as long as nothing else changes is an advice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;

use crate::config::{Config, ListenAddress, Listener, Mode, Problem, Severity};
use waxseal_system::secure_fs::ExposureCheck;

/// Path of sockets that only Postfix can access, within its chroot and outside.
const SOCKETS: &str = "/var/spool/postfix/waxseal";

/// Checks the addresses of listeners: a process that can connect to one can speak the milter protocol there, and claim any
/// client and login.
pub(super) fn listeners(config: &Config, problems: &mut Vec<Problem>) {
    for listener in &config.listeners {
        let name = &listener.name;
        let problem = match &listener.address {
            ListenAddress::Tcp(address) if !address.ip().to_canonical().is_loopback() => Some((
                Severity::Warning,
                format!(
                    "listener \"{name}\" is open to the network: any process of any machine that reaches {address} {}",
                    can(listener)
                ),
            )),
            ListenAddress::Tcp(_) if listener.mode != Mode::Split => Some((
                Severity::Advice,
                format!(
                    "listener \"{name}\" is on TCP: any process of any user of this machine {}",
                    can(listener)
                ),
            )),
            ListenAddress::Unix(_) if listener.socket_mode & 0o002 != 0 => Some((
                Severity::Warning,
                format!(
                    "listener \"{name}\" has socket-mode {:04o}: any process of any user of this machine {}",
                    listener.socket_mode,
                    can(listener)
                ),
            )),
            _ => None,
        };
        if let Some((severity, message)) = problem {
            let span = listener.address_span.clone();
            let expected = format!(
                "address = \"unix:{SOCKETS}/{name}.sock\", socket-mode = \"0660\", socket-group = \"postfix\""
            );
            problems.push(
                config
                    .source
                    .problem(severity, span, message, Some(expected)),
            );
        }
    }
}

fn can(listener: &Listener) -> &'static str {
    match listener.mode {
        Mode::Split => "can connect to it",
        Mode::Mixed | Mode::Submission => "can have mail signed and sent in any name",
    }
}

/// Checks the outgoing networks: loopback includes the programs of this machine, such as content filters.
pub(super) fn networks(config: &Config, problems: &mut Vec<Problem>) {
    let listed = listed(config, &[]);
    if listed.is_empty() {
        return;
    }
    let listed = list(&listed);
    let message = format!(
        "{listed} is outgoing: so is mail of strangers that a content filter re-injects from there, and it would be signed"
    );
    let expected = "no loopback network; or, where a content filter hands mail back to Postfix, \
                    a port with `-o receive_override_options=no_milters`";
    problems.push(config.source.problem(
        Severity::Advice,
        config.outgoing.networks_span.clone(),
        message,
        Some(expected.to_owned()),
    ));
}

/// A path in Postfix's configuration by which a content filter re-injects mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reinjection {
    /// Position, as `FILE:LINE`.
    pub place: String,
    /// The line.
    pub text: String,
}

/// The warning for a configuration whose networks include re-injected mail; it replaces the advice. `own` are the addresses
/// of this machine.
pub fn reinjected(
    config: &Config,
    ways: &[Reinjection],
    own: &[IpAddr],
    problems: &mut Vec<Problem>,
) {
    let listed = listed(config, own);
    if listed.is_empty() || ways.is_empty() {
        return;
    }
    let problem_at = |severity, message: String, expected: &str| {
        let span = config.outgoing.networks_span.clone();
        config
            .source
            .problem(severity, span, message, Some(expected.to_owned()))
    };
    let line = problem_at(Severity::Advice, String::new(), "").line;
    problems.retain(|problem| {
        problem.severity != Severity::Advice
            || problem.line != line
            || problem.file != config.source.path
    });
    for Reinjection { place, text } in ways {
        let message = format!(
            "mail of strangers that a content filter re-injects from {} will be signed: {place} has `{text}`",
            list(&listed)
        );
        let expected = "`-o receive_override_options=no_milters` at the port where the filter hands mail back, \
                        or networks without this machine's own addresses";
        problems.push(problem_at(Severity::Warning, message, expected));
    }
}

/// The listed networks that contain a loopback address or one of `own`, if a listener uses networks.
fn listed(config: &Config, own: &[IpAddr]) -> Vec<IpNet> {
    let looks = |listener: &Listener| listener.mode == Mode::Mixed;
    if !config.listeners.iter().any(looks) {
        return Vec::new();
    }
    let loopback = |network: &IpNet| match network {
        IpNet::V4(network) => {
            network.addr().is_loopback() || network.contains(&Ipv4Addr::LOCALHOST)
        }
        IpNet::V6(network) => network.contains(&Ipv6Addr::LOCALHOST),
    };
    let of_this_machine =
        |network: &&IpNet| loopback(network) || own.iter().any(|address| network.contains(address));
    let networks = config.outgoing.networks.iter();
    networks.filter(of_this_machine).copied().collect()
}

fn list(networks: &[IpNet]) -> String {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(", ")
}

/// Checks whether others can write the policy's files, which decide what is signed.
pub(super) fn policy_files(named: &Config, problems: &mut Vec<Problem>) {
    let mut check = ExposureCheck::new(&named.state);
    check.add_path(&named.policy.file, "the policy");
    if let Some(settings) = &named.policy.settings {
        check.add_path(settings, "the policy's settings");
    }
    for tests in &named.policy.tests {
        check.add_path(tests, "the policy's tests");
    }
    for table in &named.tables {
        check.add_path(&table.file, &format!("table {}", table.name));
    }
    report(check, problems);
}

/// Checks whether others can write the administrator's files.
pub(super) fn host_files(config: &Config, problems: &mut Vec<Problem>) {
    let mut check = ExposureCheck::new(&config.state);
    check.add_path(&config.source.path, "waxseal.toml");
    check.add_path(&config.state, "the state folder");
    if let Some(record) = &config.record {
        check.add_path(&record.folder, "the recording");
    }
    for relay in &config.relays {
        let what = format!("relay {}", relay.name);
        for file in relay.ca_file.iter() {
            check.add_path(file, &format!("the certificates of {what}"));
        }
        for login in relay.login.iter() {
            check.add_path(&login.password_file, &format!("the password of {what}"));
        }
    }
    for listener in &config.listeners {
        if let ListenAddress::Unix(path) = &listener.address
            && let Some(folder) = path.parent()
        {
            check.add_path(folder, &format!("the socket of listener {}", listener.name));
        }
    }
    keys(config, &mut check);
    report(check, problems);
}

/// One warning for each file or folder, with everything that it affects.
fn report(check: ExposureCheck, problems: &mut Vec<Problem>) {
    for exposure in check.finish() {
        let expected = match exposure.remedy.as_str() {
            "" => "create it before others can".to_owned(),
            remedy => format!("only root and the daemon's user can write; type: {remedy}"),
        };
        let mut problem = Problem::of_file(&exposure.path, exposure.to_string(), Some(expected));
        problem.severity = Severity::Warning;
        problems.push(problem);
    }
}

/// Checks the key folders: a key that somebody else adds to one signs.
fn keys(config: &Config, check: &mut ExposureCheck) {
    let what = "the DKIM keys";
    check.add_path(&config.dkim.keys, what);
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    for domain in entries(&config.dkim.keys) {
        check.add_path(&domain, what);
        for file in entries(&domain) {
            check.add_path(&file, what);
        }
    }
    for key in &config.dkim.files {
        check.add_path(&key.file, &format!("a DKIM key of {}", key.domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n{text}");
        crate::config::read_text(Path::new("w.toml"), &text).expect("config")
    }

    fn listener(mode: &str, lines: &str) -> String {
        let smtpd = match mode {
            "split" => "smtpd = \"127.0.0.1:10025\"\n",
            _ => "",
        };
        format!("[[listener]]\nname = \"it\"\nmode = \"{mode}\"\n{lines}\n{smtpd}")
    }

    fn found(check: fn(&Config, &mut Vec<Problem>), text: &str) -> Vec<(Severity, String)> {
        let mut problems = Vec::new();
        check(&config(text), &mut problems);
        let text = |problem: Problem| (problem.severity, problem.to_string());
        problems.into_iter().map(text).collect()
    }

    #[test]
    fn m2_a_milter_on_the_network_is_a_warning_with_its_line() {
        for (mode, address) in [
            ("submission", "inet:0.0.0.0:8893"),
            ("mixed", "inet:192.0.2.1:8891"),
            ("mixed", "inet:[::]:8891"),
        ] {
            let text = listener(mode, &format!("address = \"{address}\""));
            let found = found(listeners, &text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, Severity::Warning);
            let text = &found[0].1;
            assert!(
                text.starts_with("w.toml:7:")
                    && text.contains("any machine")
                    && text.contains("signed"),
                "{text}"
            );
        }
        let split = found(
            listeners,
            &listener("split", "address = \"inet:0.0.0.0:8892\""),
        );
        assert!(
            split.len() == 1 && split[0].0 == Severity::Warning && !split[0].1.contains("signed"),
            "{split:?}"
        );
    }

    #[test]
    fn m2_a_milter_on_loopback_is_an_advice_and_a_private_socket_is_fine() {
        for (mode, address, advice) in [
            ("submission", "inet:127.0.0.1:8893", true),
            ("mixed", "inet:[::1]:8891", true),
            ("split", "inet:127.0.0.1:8892", false),
            (
                "submission",
                "unix:/var/spool/postfix/waxseal/it.sock",
                false,
            ),
        ] {
            let found = found(
                listeners,
                &listener(mode, &format!("address = \"{address}\"")),
            );
            let expected = if advice {
                vec![Severity::Advice]
            } else {
                Vec::new()
            };
            let severities: Vec<_> = found.iter().map(|(severity, _)| *severity).collect();
            assert_eq!(severities, expected, "{found:?}");
            assert!(
                found
                    .iter()
                    .all(|(_, text)| text.contains("any user of this machine"))
            );
        }
        let open = listener(
            "mixed",
            "address = \"unix:it.sock\"\nsocket-mode = \"0666\"",
        );
        let open = found(listeners, &open);
        assert!(
            open.len() == 1 && open[0].0 == Severity::Warning,
            "{open:?}"
        );
    }

    #[test]
    fn m2_loopback_in_the_networks_is_an_advice_if_a_listener_uses_them() {
        let mixed = listener("mixed", "address = \"unix:it.sock\"");
        for (listed, advice) in [
            ("127.0.0.0/8", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("0.0.0.0/0", true),
            ("192.0.2.0/24", false),
        ] {
            let outgoing = format!("[outgoing]\nnetworks = [\"{listed}\"]\n");
            let found = found(networks, &format!("{mixed}{outgoing}"));
            assert_eq!(found.len(), usize::from(advice), "{listed}: {found:?}");
            assert!(
                found
                    .iter()
                    .all(|(severity, text)| *severity == Severity::Advice
                        && text.contains("mail of strangers that a content filter re-injects"))
            );
            let submission = listener("submission", "address = \"unix:it.sock\"");
            let none = super::tests::found(networks, &format!("{submission}{outgoing}"));
            assert_eq!(none, [], "no listener looks at networks");
        }
    }

    #[test]
    fn m2_a_known_content_filter_makes_it_a_warning() {
        let mixed = listener("mixed", "address = \"unix:it.sock\"");
        let ways = [Reinjection {
            place: "/etc/postfix/master.cf:12".into(),
            text: "127.0.0.1:10026 inet … smtpd".into(),
        }];
        let own: [IpAddr; 1] = ["192.0.2.7".parse().expect("address")];
        for (listed, ways, own, expected) in [
            ("127.0.0.0/8", &ways[..], &own[..0], Some(Severity::Warning)),
            ("127.0.0.0/8", &ways[..0], &own[..], Some(Severity::Advice)),
            ("192.0.2.0/24", &ways[..], &own[..], Some(Severity::Warning)),
            ("192.0.2.0/24", &ways[..], &own[..0], None),
            ("192.0.2.0/24", &ways[..0], &own[..], None),
        ] {
            let config = config(&format!("{mixed}[outgoing]\nnetworks = [\"{listed}\"]\n"));
            let mut problems = Vec::new();
            networks(&config, &mut problems);
            reinjected(&config, ways, own, &mut problems);
            let severities: Vec<_> = problems.iter().map(|problem| problem.severity).collect();
            assert_eq!(
                severities,
                Vec::from_iter(expected),
                "{listed} {problems:?}"
            );
            if expected == Some(Severity::Warning) {
                let text = problems[0].to_string();
                assert!(
                    text.contains("mail of strangers that a content filter re-injects")
                        && text.contains("will be signed: /etc/postfix/master.cf:12"),
                    "{text}"
                );
            }
        }
    }
}
