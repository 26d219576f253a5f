//! Listening sockets: TCP and Unix, and what is done to connections of each.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::secure_fs;

/// Connections that may wait to be accepted. An MTA makes one for each SMTP
/// session; a burst of them must not be refused.
const BACKLOG: u32 = 1024;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(UnixSocket),
}

/// A socket file and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Permissions, such as `0o660`: set before the first connection is taken.
    pub mode: u32,
    /// User id of its owner; none leaves it to the process.
    pub owner: Option<u32>,
    /// Group id; none leaves it to the process.
    pub group: Option<u32>,
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
pub enum BindError {
    /// The system refused.
    #[error("listener {listener}: cannot listen on {endpoint} ({action}): {error}")]
    System {
        /// Name of the listener.
        listener: String,
        /// Where it was to listen.
        endpoint: Endpoint,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Another process answers on the socket file.
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
    /// Something that is no socket is in the way; it is left alone.
    #[error(
        "listener {listener}: {} exists and is no socket; move it away or choose another path",
        path.display()
    )]
    NotASocket {
        /// Name of the listener.
        listener: String,
        /// The file.
        path: PathBuf,
    },
}

/// A connection of an MTA.
pub(super) trait Transport: AsyncRead + AsyncWrite + AsFd + Send + Unpin + 'static {
    /// There is something to read, or the peer is gone. The system is asked:
    /// what the runtime knows may be a moment old, and then a message that was
    /// given up would count as answered.
    fn has_spoken(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(
            rustix::net::recv(self, &mut [0; 1], flags),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    /// Called before each wait for bytes. Over TCP, Postfix's second write
    /// of a message waits until its first is acknowledged (it leaves Nagle's
    /// algorithm on), and the system forgets the wish for quick acknowledgement
    /// again and again.
    fn before_wait(&self) {}
}

impl Transport for TcpStream {
    fn before_wait(&self) {
        // A system that cannot is slower, and that is all.
        let _ = rustix::net::sockopt::set_tcp_quickack(self, true);
    }
}

impl Transport for UnixStream {}

/// An open listener.
pub(super) enum Open {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "takes the file away when dropped")] SocketFile,
    ),
}

/// A connection that was accepted, and what to call its peer.
pub(super) enum Accepted {
    Tcp(TcpStream, String),
    Unix(UnixStream, String),
}

impl Open {
    pub(super) fn bind(listener: &str, endpoint: &Endpoint) -> Result<Self, BindError> {
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
                let (listener, file) = bind_unix(listener, socket)?;
                Ok(Self::Unix(listener, file))
            }
        }
    }

    pub(super) fn endpoint(&self, asked: &Endpoint) -> Endpoint {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| asked.clone(), Endpoint::Tcp),
            Self::Unix(..) => asked.clone(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
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

/// Listens on a socket file. A file that a daemon which was killed left behind
/// is replaced; whatever else is in the way is left alone.
pub(crate) fn bind_unix(
    listener: &str,
    socket: &UnixSocket,
) -> Result<(UnixListener, SocketFile), BindError> {
    let failed = |action| {
        move |error: io::Error| BindError::System {
            listener: listener.to_owned(),
            endpoint: Endpoint::Unix(socket.clone()),
            action,
            error,
        }
    };
    clear_stale(listener, &socket.path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| failed("socket")(error.into()))?;
    let address =
        SocketAddrUnix::new(&*socket.path).map_err(|error| failed("path")(error.into()))?;
    rustix::net::bind(&fd, &address).map_err(|error| failed("bind")(error.into()))?;
    let file = SocketFile::of(&socket.path).map_err(failed("stat"))?;
    // Nobody can connect before `listen`, so nobody does with other permissions.
    secure_fs::set_socket_access(&socket.path, socket.mode, socket.owner, socket.group)
        .map_err(failed("chown, chmod"))?;
    let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
    rustix::net::listen(&fd, backlog).map_err(|error| failed("listen")(error.into()))?;
    let listener = UnixListener::from_std(fd.into()).map_err(failed("register"))?;
    Ok((listener, file))
}

/// Takes away a socket file that a daemon which was killed left behind.
fn clear_stale(listener: &str, path: &Path) -> Result<(), BindError> {
    let failed = |action| {
        move |error| BindError::System {
            listener: listener.to_owned(),
            endpoint: Endpoint::Unix(UnixSocket {
                path: path.to_owned(),
                mode: 0,
                owner: None,
                group: None,
            }),
            action,
            error,
        }
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("stat")(error)),
    };
    let (listener, path) = (listener.to_owned(), path.to_owned());
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { listener, path });
    }
    match std::os::unix::net::UnixStream::connect(&path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(&path).map_err(failed("remove the stale socket file"))
        }
        // Even one that we may not connect to belongs to somebody.
        Ok(_) => Err(BindError::InUse { listener, path }),
        Err(error) => Err(failed("find out whether the socket file is in use")(error)),
    }
}

/// The file of a socket of ours; taken away when dropped, unless another file
/// has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
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
            // A file that stays is found stale at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
