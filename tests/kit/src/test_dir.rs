//! Folder and loopback address of a rig.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Port that is bound to reserve the address.
const CLAIM: u16 = 9;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder under the system's temporary one, and an address of 127.0.0.0/8.
///
/// With an address of its own a rig can use the same ports as all others, and need not find free ports, which another process
/// could bind first.
#[derive(Debug)]
pub struct TestDir {
    address: Ipv4Addr,
    folder: tempfile::TempDir,
    _claim: TcpListener,
}

impl TestDir {
    /// Reserves one.
    ///
    /// # Panics
    ///
    /// If the folder cannot be created or no address is available.
    pub fn claim(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("waxseal-{name}-"))
            // Postfix's own user has to search it.
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder");
        let (address, claim) = (0..10_000)
            .find_map(|_| {
                let address = candidate(NEXT.fetch_add(1, Ordering::Relaxed));
                let claim = TcpListener::bind((address, CLAIM)).ok()?;
                Some((address, claim))
            })
            .expect("a loopback address that nobody uses");
        Self {
            address,
            folder,
            _claim: claim,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path within the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A port of the address.
    pub fn port(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }
}

/// Addresses from 127.16.0.0 to 127.255.255.255, distributed so that parallel test processes rarely try the same one.
fn candidate(number: u32) -> Ipv4Addr {
    let spread = std::process::id()
        .wrapping_mul(2_654_435_761)
        .wrapping_add(number.wrapping_mul(40_503));
    let [_, a, b, c] = spread.to_be_bytes();
    Ipv4Addr::new(127, 16 + a % 240, b, 1 + c % 254)
}
