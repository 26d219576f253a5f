//! The secret of a Waxseal installation, and the keys derived from it.
//!
//! It is created when it is first needed and must not change: with another
//! secret, bounces to return paths in use are not recognized.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::{constant_time, hmac, rand};
use thiserror::Error;

use waxseal_system::secure_fs::{self, PrivateFileError};

/// Name of the secret's file in the folder of state.
pub const SECRET_FILE: &str = "secret";

/// Length in bytes.
const LENGTH: usize = 32;

/// Why the secret cannot be used. The message says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It cannot be read, or other users can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It cannot be created.
    #[error("{}: cannot write the secret: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The failure of the system.
        error: io::Error,
    },
    /// Its length is wrong.
    #[error(
        "{}: invalid secret of {found} bytes: expected {LENGTH}; restore it from a backup, or move it away: a new one is \
         created, and bounces of mail sent so far are not recognized",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
    /// The system's random number generator failed.
    #[error("cannot create a secret: the system's random number generator failed")]
    Random,
}

/// 32 random bytes known to this installation only.
pub struct Secret([u8; LENGTH]);

impl Secret {
    /// Reads the secret in a folder of state. Creates folder and secret if they
    /// are missing, and logs that. Several processes may do so at the same time:
    /// all get the same secret.
    ///
    /// # Errors
    ///
    /// When it cannot be read or created, or when other users can read it.
    pub fn open(state: &Path) -> Result<Self, SecretError> {
        let (secret, origin) = Self::open_or_make(state)?;
        let path = state.join(SECRET_FILE);
        let path = path.display();
        match origin {
            Origin::Read => {}
            Origin::First => tracing::warn!(
                "created a new secret, {path}: back it up. Without it, mail that waits in Postfix for its route stays there, \
                 and bounces to addresses made so far are not recognized"
            ),
            Origin::Lost(beside) => tracing::error!(
                "{path} was missing although state of an earlier run exists ({beside}), and a new secret was created: mail that waits \
                 in Postfix for its route stays there, and bounces to addresses made so far are not recognized. Stop \
                 waxseal, restore the file from a backup, and start again"
            ),
        }
        Ok(secret)
    }

    /// Like [`Secret::open`] for a cache, which can be rebuilt at any time: nothing
    /// is logged.
    ///
    /// # Errors
    ///
    /// See [`Secret::open`].
    pub fn open_for_cache(folder: &Path) -> Result<Self, SecretError> {
        Self::open_or_make(folder).map(|(secret, _)| secret)
    }

    fn open_or_make(state: &Path) -> Result<(Self, Origin), SecretError> {
        secure_fs::folder(state)?;
        let path = state.join(SECRET_FILE);
        match secure_fs::read(&path) {
            Err(PrivateFileError::Read { error, .. })
                if error.kind() == io::ErrorKind::NotFound => {}
            read => return Ok((Self::from_file(path, read?)?, Origin::Read)),
        }
        let origin = Origin::of_missing(state);
        let mut fresh = [0; LENGTH];
        rand::fill(&mut fresh).map_err(|_| SecretError::Random)?;
        match secure_fs::create(&path, &fresh) {
            Ok(()) => Ok((Self(fresh), origin)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let bytes = secure_fs::read(&path)?;
                Ok((Self::from_file(path, bytes)?, Origin::Read))
            }
            Err(error) => Err(SecretError::Write { path, error }),
        }
    }

    /// Like [`Secret::open`], but creates nothing. `None` if there is no secret yet.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or when other users can read it.
    pub fn open_to_read(state: &Path) -> Result<Option<Self>, SecretError> {
        let path = state.join(SECRET_FILE);
        match secure_fs::read(&path) {
            Err(PrivateFileError::Read { error, .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            read => Self::from_file(path, read?).map(Some),
        }
    }

    /// A secret given by the caller, for reproducible tests.
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }

    fn from_file(path: PathBuf, bytes: Vec<u8>) -> Result<Self, SecretError> {
        let found = bytes.len();
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| SecretError::Damaged { path, found })
    }

    /// Derives the key for one purpose. Keys of different purposes are independent:
    /// this is HKDF-Expand (RFC 5869, section 2.3) for one block, which is one HMAC.
    /// The extract step is not needed, since the secret is uniformly random.
    pub fn derive(&self, purpose: &str) -> Key {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut info = Vec::with_capacity(purpose.len() + 9);
        info.extend_from_slice(b"waxseal ");
        info.extend_from_slice(purpose.as_bytes());
        info.push(1);
        Key(hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&root, &info).as_ref(),
        ))
    }
}

/// Origin of a secret.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    /// It was read.
    Read,
    /// It was created on the first run.
    First,
    /// It was created although files of an earlier run exist: the old one was lost.
    Lost(String),
}

/// Names in the folder of state that an earlier run leaves there: counters,
/// policy snapshots, compiled code.
pub(crate) const STATE_FILES: [&str; 3] = ["counters.sqlite", "policies", "code"];

impl Origin {
    fn of_missing(state: &Path) -> Self {
        let left = STATE_FILES.iter().filter(|name| state.join(name).exists());
        let left: Vec<&str> = left.copied().collect();
        match left.is_empty() {
            true => Self::First,
            false => Self::Lost(left.join(", ")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key for one purpose.
#[derive(Clone)]
pub struct Key(hmac::Key);

/// Derives the key of the cache of compiled code.
impl From<&Secret> for waxseal_runtime::CacheKey {
    fn from(secret: &Secret) -> Self {
        Self::new(secret.derive("code").tag(b"cache"))
    }
}

impl Key {
    /// HMAC-SHA256 of some data: proof of origin, or 32 unpredictable bytes.
    pub fn tag(&self, data: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, data);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Whether `tag` is a prefix of the tag of `data`, in constant time. A prefix of
    /// less than 8 bytes is never accepted.
    pub fn check(&self, data: &[u8], tag: &[u8]) -> bool {
        let ours = self.tag(data);
        (8..=ours.len()).contains(&tag.len())
            && constant_time::verify_slices_are_equal(&ours[..tag.len()], tag).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_made_once_and_stays() {
        let root = tempfile::tempdir().expect("folder");
        let state = root.path().join("state");
        let first = Secret::open(&state).expect("made");
        let second = Secret::open(&state).expect("read");
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, [0; 32]);
        let mode = fs::metadata(state.join(SECRET_FILE))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            format!("{first:?} {:?}", first.derive("x")),
            "Secret(…) Key(…)"
        );
    }

    #[test]
    fn d2_a_secret_made_beside_state_of_an_earlier_run_counts_as_lost() {
        let root = tempfile::tempdir().expect("folder");
        let state = root.path().join("state");
        let origin = || Secret::open_or_make(&state).expect("opened").1;
        assert_eq!(origin(), Origin::First);
        assert_eq!(origin(), Origin::Read);
        fs::write(state.join(STATE_FILES[0]), "").expect("written");
        assert_eq!(origin(), Origin::Read);
        fs::remove_file(state.join(SECRET_FILE)).expect("removed");
        assert_eq!(origin(), Origin::Lost("counters.sqlite".into()));
        assert_eq!(origin(), Origin::Read);
        fs::remove_file(state.join(SECRET_FILE)).expect("removed");
        fs::remove_file(state.join(STATE_FILES[0])).expect("removed");
        fs::create_dir(state.join("policies")).expect("made");
        assert_eq!(origin(), Origin::Lost("policies".into()));
    }

    #[test]
    fn many_that_begin_together_agree_on_one_secret() {
        let root = tempfile::tempdir().expect("folder");
        let state = root.path().join("state");
        let opened: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Secret::open(&state).expect("opened").0))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("joined"))
                .collect()
        });
        assert!(opened.iter().all(|secret| *secret == opened[0]));
    }

    #[test]
    fn a_damaged_or_readable_secret_is_refused() {
        let root = tempfile::tempdir().expect("folder");
        let state = root.path().join("state");
        secure_fs::make_folder(&state).expect("made");
        let path = state.join(SECRET_FILE);
        secure_fs::create(&path, b"short").expect("written");
        assert!(matches!(
            Secret::open(&state),
            Err(SecretError::Damaged { found: 5, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(matches!(
            Secret::open(&state),
            Err(SecretError::File(PrivateFileError::Open { .. }))
        ));
    }

    #[test]
    fn keys_of_different_purposes_differ_and_check_their_own_tags() {
        let secret = Secret::from_bytes([7; 32]);
        let (verp, seal) = (secret.derive("verp"), secret.derive("seal"));
        let tag = verp.tag(b"data");
        assert!(verp.check(b"data", &tag) && verp.check(b"data", &tag[..10]));
        assert!(!seal.check(b"data", &tag) && !verp.check(b"date", &tag));
        assert!(
            !verp.check(b"data", &tag[..7]),
            "too short to prove anything"
        );
    }
}
