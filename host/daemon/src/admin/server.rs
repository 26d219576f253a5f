//! The server of the control channel: binds the socket and mounts the routes.

use std::path::Path;

use tokio::net::UnixListener;

use super::state::Control;
use super::{policy, shadow};
use waxseal_milter::{BindError, SocketFile, UnixSocket};

/// Only the daemon's user and root may connect.
const MODE: u32 = 0o600;

/// A bound control socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    /// Removes the socket file on drop.
    file: SocketFile,
}

impl Server {
    /// Binds the socket. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound, or another daemon answers on it.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let mut socket = UnixSocket::new(path);
        socket.mode = MODE;
        let (listener, file) = socket.bind("admin")?;
        Ok(Self { listener, file })
    }

    /// Serves requests until the future is dropped.
    pub async fn run(self, control: Control) {
        let router = axum::Router::new()
            .merge(policy::routes())
            .merge(shadow::routes())
            .with_state(control);
        let _file = self.file;
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!("the control channel is closed: {error}");
        }
    }
}
