//! Listening sockets (TCP, Unix) and their connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Backlog of a listening socket. An MTA opens a connection for each SMTP session; a
/// burst of them must not be refused.
const BACKLOG: u32 = 1024;

/// The socket of a listener. Parsed from, and displayed as, `inet:ADDRESS:PORT` or
/// `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP address. With port 0 the system chooses the port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(UnixSocket),
}

/// A Unix socket and its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixSocket {
    /// Path of the socket file.
    pub path: PathBuf,
    /// Permissions, such as `0o660`, set before the first connection is accepted.
    pub mode: u32,
    /// User id of the owner; `None` is that of the process.
    pub owner: Option<u32>,
    /// Group id; `None` is that of the process.
    pub group: Option<u32>,
}

impl UnixSocket {
    /// A socket with mode `0o660`, and owner and group of the process.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: 0o660,
            owner: None,
            group: None,
        }
    }
}

/// Text that is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid endpoint `{0}`: expected `inet:ADDRESS:PORT` or `unix:PATH`")]
pub struct InvalidEndpoint(String);

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidEndpoint(text.to_owned());
        match text.split_once(':') {
            Some(("inet", address)) => address.parse().map(Self::Tcp).map_err(|_| invalid()),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(UnixSocket::new(path))),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "inet:{address}"),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

/// A listener that cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// A system call failed.
    #[error("listener {listener}: cannot listen on {endpoint} ({action}): {error}")]
    System {
        /// Name of the listener.
        listener: String,
        /// Its socket.
        endpoint: Endpoint,
        /// The failed action.
        action: &'static str,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// Another process listens on the socket file.
    #[error(
        "listener {listener}: another process is listening on {}; is the daemon running already?",
        path.display()
    )]
    InUse {
        /// Name of the listener.
        listener: String,
        /// The socket file.
        path: PathBuf,
    },
    /// A file that is not a socket has the path. It is left unchanged.
    #[error(
        "listener {listener}: {} exists and is not a socket; move it away or choose another path",
        path.display()
    )]
    NotASocket {
        /// Name of the listener.
        listener: String,
        /// The file.
        path: PathBuf,
    },
}

/// A connection of a client.
pub trait Transport: AsyncRead + AsyncWrite + AsFd + Send + Unpin + 'static {
    /// Bytes or the end of the stream can be read. Asks the system: the runtime's
    /// readiness may be outdated, and a message that was aborted would then count
    /// as answered.
    fn is_readable(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(
            rustix::net::recv(self, &mut [0; 1], flags),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    /// The end of the stream shows that the peer had read all that was written: the
    /// system reports a reset otherwise. Not over TCP, where bytes may still be on
    /// their way when the peer closes.
    fn end_acknowledges(&self) -> bool {
        false
    }

    /// Called before each wait for bytes. Over TCP, Postfix's second write of a
    /// message waits until its first is acknowledged (it leaves Nagle's algorithm
    /// on), and the system clears the flag for quick acknowledgement repeatedly.
    fn before_wait(&self) {}
}

impl Transport for TcpStream {
    fn before_wait(&self) {
        // Without it the connection works, with more latency.
        let _ = rustix::net::sockopt::set_tcp_quickack(self, true);
    }
}

impl Transport for UnixStream {
    fn end_acknowledges(&self) -> bool {
        true
    }
}

/// An open listener.
#[derive(Debug)]
#[non_exhaustive]
pub enum Open {
    /// On a TCP address.
    Tcp(TcpListener),
    /// On a Unix socket, with its file, which is removed when this is dropped.
    Unix(UnixListener, SocketFile),
}

/// An accepted connection, and a name of its peer for the log.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP; the peer is its address.
    Tcp(TcpStream, String),
    /// Over a Unix socket; the peer is its process.
    Unix(UnixStream, String),
}

impl Open {
    /// Listens on a socket. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the socket cannot be opened. `listener` is the name in the error.
    pub fn bind(listener: &str, endpoint: &Endpoint) -> Result<Self, BindError> {
        match endpoint {
            Endpoint::Tcp(address) => bind_tcp(*address).map(Self::Tcp).map_err(|error| {
                let (listener, endpoint) = (listener.to_owned(), endpoint.clone());
                BindError::System {
                    listener,
                    endpoint,
                    action: "bind",
                    error,
                }
            }),
            Endpoint::Unix(socket) => {
                let (listener, file) = socket.bind(listener)?;
                Ok(Self::Unix(listener, file))
            }
        }
    }

    /// The socket that was asked for, with the port that the system chose.
    pub fn endpoint(&self, asked: &Endpoint) -> Endpoint {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| asked.clone(), Endpoint::Tcp),
            Self::Unix(..) => asked.clone(),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// When the system cannot accept one, for lack of file descriptors for example.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer.to_string()))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = match stream.peer_cred().ok().and_then(|peer| peer.pid()) {
                    Some(pid) => format!("pid {pid}"),
                    None => "local".to_owned(),
                };
                Ok(Accepted::Unix(stream, peer))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl UnixSocket {
    /// Listens on the socket. A stale file of a killed process is replaced; any
    /// other file is left unchanged. The file is removed when the returned
    /// [`SocketFile`] is dropped. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Another process listens on the socket, the path is another file, or a system
    /// call failed. `listener` is the name in the error.
    pub fn bind(&self, listener: &str) -> Result<(UnixListener, SocketFile), BindError> {
        let failed = |action| {
            move |error: io::Error| BindError::System {
                listener: listener.to_owned(),
                endpoint: Endpoint::Unix(self.clone()),
                action,
                error,
            }
        };
        clear_stale(listener, self)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| failed("socket")(error.into()))?;
        let address =
            SocketAddrUnix::new(&*self.path).map_err(|error| failed("path")(error.into()))?;
        rustix::net::bind(&fd, &address).map_err(|error| failed("bind")(error.into()))?;
        let file = SocketFile::of(&self.path).map_err(failed("stat"))?;
        // No client can connect before `listen`, so none does with other permissions.
        self.set_access().map_err(failed("chown, chmod"))?;
        let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
        rustix::net::listen(&fd, backlog).map_err(|error| failed("listen")(error.into()))?;
        let listener = UnixListener::from_std(fd.into()).map_err(failed("register"))?;
        Ok((listener, file))
    }

    /// Sets mode and owner of the socket file, by its descriptor: a file that
    /// replaces it meanwhile is not changed.
    fn set_access(&self) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(io::Error::other(
                "the socket file was replaced by another file",
            ));
        }
        let (owner, group) = (self.owner.map(Uid::from_raw), self.group.map(Gid::from_raw));
        if owner.is_some() || group.is_some() {
            rustix::fs::chownat(&file, "", owner, group, AtFlags::EMPTY_PATH)?;
        }
        // A descriptor that is opened with O_PATH has no fchmod.
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::chmod(itself, Mode::from_raw_mode(self.mode))?)
    }
}

/// Removes the socket file of a process that was killed.
fn clear_stale(listener: &str, socket: &UnixSocket) -> Result<(), BindError> {
    let failed = |action| {
        move |error| BindError::System {
            listener: listener.to_owned(),
            endpoint: Endpoint::Unix(socket.clone()),
            action,
            error,
        }
    };
    let metadata = match std::fs::symlink_metadata(&socket.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("stat")(error)),
    };
    let (listener, path) = (listener.to_owned(), socket.path.clone());
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { listener, path });
    }
    match std::os::unix::net::UnixStream::connect(&path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(&path).map_err(failed("remove the stale socket file"))
        }
        // Includes a socket that denies the connection: its process is running.
        Ok(_) => Err(BindError::InUse { listener, path }),
        Err(error) => Err(failed("find out whether the socket file is in use")(error)),
    }
}

/// The file of a listening socket; removed when dropped, unless it was replaced by
/// another file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // A file that remains is stale at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn m3_a_socket_swapped_for_a_link_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("mx.sock");
        let mut socket = UnixSocket::new(&path);
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        socket.set_access().expect("changed");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        let victim = folder.path().join("victim");
        fs::write(&victim, "x").expect("file");
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::remove_file(&path).expect("removed");
        symlink("victim", &path).expect("link");
        socket.mode = 0o666;
        socket.set_access().expect_err("refused");
        assert_eq!(mode(&victim), 0o600);
    }

    #[test]
    fn endpoints_are_read_as_they_are_displayed() {
        for text in [
            "inet:127.0.0.1:8891",
            "inet:[::1]:0",
            "unix:/run/milter.sock",
        ] {
            let endpoint: Endpoint = text.parse().expect("an endpoint");
            assert_eq!(endpoint.to_string(), text);
        }
        for text in ["", "unix:", "inet:localhost", "local:/run/x", "8891"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
