//! Conversion of configured listeners to milter server listeners.

use std::path::Path;

use rustix::fs::Gid;
use thiserror::Error;

use waxseal::config::{self, ListenAddress};
use waxseal_milter::{Endpoint, ListenerSettings, UnixSocket};
use waxseal_system::input_file;

/// `socket-group` names an unknown group.
#[derive(Debug, Error)]
#[error("listener {listener}: unknown group \"{group}\" (socket-group)")]
pub struct UnknownGroup {
    /// Name of the listener.
    pub listener: String,
    /// Name of the group.
    pub group: String,
}

pub(super) fn settings(
    listeners: &[config::Listener],
) -> Result<Vec<ListenerSettings>, UnknownGroup> {
    listeners.iter().map(setting).collect()
}

fn setting(listener: &config::Listener) -> Result<ListenerSettings, UnknownGroup> {
    let endpoint = match &listener.address {
        ListenAddress::Tcp(address) => Endpoint::Tcp(*address),
        ListenAddress::Unix(path) => {
            let mut socket = UnixSocket::new(path);
            socket.mode = listener.socket_mode;
            socket.group = group(listener)?.map(Gid::as_raw);
            Endpoint::Unix(socket)
        }
    };
    let mut settings = ListenerSettings::new(&listener.name, endpoint);
    settings.connections = listener.connections;
    Ok(settings)
}

fn group(listener: &config::Listener) -> Result<Option<Gid>, UnknownGroup> {
    let Some(name) = &listener.socket_group else {
        return Ok(None);
    };
    let unknown = || UnknownGroup {
        listener: listener.name.clone(),
        group: name.clone(),
    };
    // Reads the file directly: a name service query could block the daemon.
    let groups = input_file::read_text(Path::new("/etc/group"), input_file::GROUPS)
        .map_err(|_| unknown())?;
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name)
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    found.map(|id| Some(Gid::from_raw(id))).ok_or_else(unknown)
}

pub(super) fn limits(limits: &config::Limits) -> waxseal_milter::Limits {
    let mut server = waxseal_milter::Limits::default();
    set_limits(&mut server, limits);
    server
}

fn set_limits(server: &mut waxseal_milter::Limits, limits: &config::Limits) {
    server.connections = limits.connections;
    server.first_command_timeout = limits.first_command_time;
    server.message = limits.message;
    server.processing_timeout = limits.processing_time;
    server.memory = limits.held;
    server.shutdown_timeout = limits.stop_time;
}
