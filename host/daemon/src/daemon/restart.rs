//! Settings that require a restart. A reload reports them while they differ from
//! the running ones.

use waxseal::config::{Config, Listener};

/// Names of settings that differ from those at startup and that a reload does not
/// change.
pub(super) fn needed_for(started: &Config, now: &Config) -> Vec<String> {
    let (old, new) = (&started.limits, &now.limits);
    let settings = [
        ("state", started.state != now.state),
        ("admin.socket", started.admin.socket != now.admin.socket),
        ("log.format", started.log.json != now.log.json),
        ("log.level", started.log.level != now.log.level),
        (
            "limits.decision-time",
            old.decision_time != new.decision_time,
        ),
        ("limits.instructions", old.instructions != new.instructions),
        ("limits.memory", old.memory != new.memory),
        ("limits.decisions", old.decisions != new.decisions),
        ("limits.new-counters", old.new_counters != new.new_counters),
        ("limits.held", old.held != new.held),
        ("limits.connections", old.connections != new.connections),
        (
            "limits.first-command-time",
            old.first_command_time != new.first_command_time,
        ),
        ("limits.stop-time", old.stop_time != new.stop_time),
    ];
    let mut names: Vec<String> = settings
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    for listener in &now.listeners {
        match named(started, &listener.name) {
            Some(running) => of_listener(running, listener, &mut names),
            None => names.push(format!("listener \"{}\" (new)", listener.name)),
        }
    }
    for listener in &started.listeners {
        if named(now, &listener.name).is_none() {
            names.push(format!("listener \"{}\" (removed)", listener.name));
        }
    }
    names
}

fn named<'a>(config: &'a Config, name: &str) -> Option<&'a Listener> {
    config.listeners.iter().find(|other| other.name == name)
}

/// `mode` is not included: it is looked up for each message.
fn of_listener(running: &Listener, new: &Listener, names: &mut Vec<String>) {
    let settings = [
        ("address", running.address != new.address),
        ("socket-mode", running.socket_mode != new.socket_mode),
        ("socket-group", running.socket_group != new.socket_group),
        ("connections", running.connections != new.connections),
    ];
    for (key, differs) in settings {
        if differs {
            names.push(format!("`{key}` of listener \"{}\"", new.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use waxseal::config::read_text;

    fn config(lines: &str) -> Config {
        let text = format!("hostname = \"mx.test\"\npolicy = {{ file = \"p.wasm\" }}\n{lines}");
        read_text(Path::new("/etc/waxseal.toml"), &text).expect("a configuration")
    }

    #[test]
    fn l6_every_setting_that_needs_a_restart_is_named() {
        let before = config(
            "[[listener]]\nname = \"mx\"\naddress = \"unix:mx.sock\"\n\
             [[listener]]\nname = \"old\"\naddress = \"unix:old.sock\"\n",
        );
        assert!(needed_for(&before, &before).is_empty());
        let after = config(
            "state = \"/var/other\"\n[limits]\ndecision-time = \"2s\"\ninstructions = 1000\n\
             memory = \"1 MiB\"\ndecisions = 2\nheld = \"1 MiB\"\nconnections = 5\n\
             new-counters = 7\nfirst-command-time = \"1s\"\nstop-time = \"1s\"\n\
             message-size = \"1 MiB\"\nprocessing-time = \"5s\"\n\
             [log]\nformat = \"json\"\nlevel = \"warn\"\n[admin]\nsocket = \"x.sock\"\n\
             [[listener]]\nname = \"mx\"\naddress = \"unix:other.sock\"\nmode = \"submission\"\n\
             socket-mode = \"0600\"\nsocket-group = \"mail\"\nconnections = 7\n\
             [[listener]]\nname = \"new\"\naddress = \"unix:new.sock\"\n",
        );
        let expected = [
            "state",
            "admin.socket",
            "log.format",
            "log.level",
            "limits.decision-time",
            "limits.instructions",
            "limits.memory",
            "limits.decisions",
            "limits.new-counters",
            "limits.held",
            "limits.connections",
            "limits.first-command-time",
            "limits.stop-time",
            "`address` of listener \"mx\"",
            "`socket-mode` of listener \"mx\"",
            "`socket-group` of listener \"mx\"",
            "`connections` of listener \"mx\"",
            "listener \"new\" (new)",
            "listener \"old\" (removed)",
        ];
        assert_eq!(needed_for(&before, &after), expected);
    }
}
