//! Files that nobody else may read: keys and the secret.
//!
//! Reading one promises that nobody but its owner could, and that the owner is
//! root or ourselves. Making one promises that it is there whole or not at all,
//! and that it never takes the place of another.
//!
//! Files of our *own* are held to more: nobody but the user who runs this may
//! have written them, root neither excepted nor trusted with another's. Those
//! may take the place of others.

mod accounts;
mod directory;
mod exposure;
#[cfg(test)]
mod root;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use crate::input_file::{self, Kind};

pub(crate) use directory::{Directory, FileMode};
pub(crate) use exposure::Watch;

/// More than any key or secret has, in bytes: a wrong path must not be read
/// into memory whole.
const MOST: u64 = 64 * 1024;

/// The same for whoever opens it: a FIFO or a device is refused at once.
const PRIVATE: Kind = Kind::new("private file", MOST);

/// A password. Tokens that are used as one have one or two thousand.
const PASSWORD: Kind = Kind::new("password", 4096);

/// Mode of private files.
const FILE: FileMode = FileMode::Exactly(0o600);

/// Mode of private folders.
const FOLDER: u32 = 0o700;

/// Why a private file cannot be used. The text says what to do.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is no file, or one far too large.
    #[error("{} is not a regular file of at most {limit} bytes", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// The most bytes that such a file may have.
        limit: u64,
    },
    /// Others may read or change it.
    #[error("others may read or change {} (mode {mode:04o}); type: chmod go= '{}'", .path.display(), .path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else, where only what we wrote ourselves will do.
    #[error("{} belongs to user {owner}: what user {us} did not write is not used here", .path.display())]
    NotOurs {
        /// The file or folder.
        path: PathBuf,
        /// Numeric user who owns it.
        owner: u32,
        /// Numeric user who runs this process.
        us: u32,
    },
    /// It is larger than such a file can be.
    #[error("{} has {length} bytes, more than such a file has", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        length: u64,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, who is neither root nor the user that runs this ({us}); type: chown {us} '{}'", .path.display(), .path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Numeric user who owns it.
        owner: u32,
        /// Numeric user who runs this process.
        us: u32,
    },
}

/// Reads a private file.
///
/// # Errors
///
/// When it cannot be read, or when others may read or change it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    read_kind(path, PRIVATE)
}

/// Reads a file with a password on its first line.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn read_password(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    read_kind(path, PASSWORD)
}

fn read_kind(path: &Path, kind: Kind) -> Result<Vec<u8>, PrivateFileError> {
    let failed = |error| PrivateFileError::Read {
        path: path.to_owned(),
        error,
    };
    // What is checked is what was opened, so that nobody can swap it between.
    let file = input_file::open(path, kind).map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => {
            PrivateFileError::NotAFile {
                path: path.to_owned(),
                limit: kind.limit(),
            }
        }
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    check(path, &metadata)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(kind.limit())
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Makes a private folder (0700) with all those above it, or checks the one
/// that is there.
///
/// # Errors
///
/// When it cannot be made, or when others may look into it.
pub(crate) fn folder(path: &Path) -> Result<(), PrivateFileError> {
    let failed = |error| PrivateFileError::Read {
        path: path.to_owned(),
        error,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => check(path, &metadata),
        Ok(_) => Err(failed(io::Error::from(io::ErrorKind::NotADirectory))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Opens a file of at most `most` bytes that nobody but us can have written.
///
/// # Errors
///
/// When it cannot be opened, or when anybody else could have written it.
pub(crate) fn open_own(path: &Path, most: u64) -> Result<File, PrivateFileError> {
    let failed = |error| PrivateFileError::Read {
        path: path.to_owned(),
        error,
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        let path = path.to_owned();
        return Err(PrivateFileError::NotAFile { path, limit: most });
    }
    if metadata.len() > most {
        return Err(PrivateFileError::TooLarge {
            path: path.to_owned(),
            length: metadata.len(),
        });
    }
    check_own(path, &metadata)?;
    Ok(file)
}

/// Checks that nobody but us can have written into a folder.
///
/// # Errors
///
/// When it is none, or somebody could.
pub(crate) fn check_own_folder(path: &Path) -> Result<(), PrivateFileError> {
    let failed = |error| PrivateFileError::Read {
        path: path.to_owned(),
        error,
    };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    check_own(path, &metadata)
}

/// Makes a private folder (0700) with all those above it, unless it is there.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    Directory::make(path, FOLDER).map(drop)
}

/// Makes a private file (0600) or puts another in its place, in one step.
///
/// # Errors
///
/// When it cannot be made; what was there stays as it is.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = Directory::around(path)?;
    directory.replace(name, bytes, FILE)
}

/// Makes a private file (0600), whole or not at all.
///
/// # Errors
///
/// When it cannot be made; [`io::ErrorKind::AlreadyExists`] when there is one
/// already, which stays as it is.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = Directory::around(path)?;
    directory.create(name, bytes, FILE)
}

fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let us = rustix::process::geteuid();
    let owner = metadata.uid();
    // Root looks at the daemon's files when an administrator types `sudo
    // waxseal check`: theirs is the daemon's user, whom we do not know here.
    if owner != 0 && owner != us.as_raw() && !us.is_root() {
        return Err(PrivateFileError::Owner {
            path: path.to_owned(),
            owner,
            us: us.as_raw(),
        });
    }
    check_mode(path, metadata)
}

fn check_own(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let us = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    if owner != us {
        return Err(PrivateFileError::NotOurs {
            path: path.to_owned(),
            owner,
            us,
        });
    }
    check_mode(path, metadata)
}

fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_private_and_can_be_read_again() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("a/b/secret");
        make_folder(path.parent().expect("parent")).expect("made");
        create(&path, b"words").expect("created");
        assert_eq!(read(&path).expect("read"), b"words");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&path), mode(&root.path().join("a"))), (0o600, 0o700));
        let left: Vec<_> = fs::read_dir(root.path().join("a/b"))
            .expect("listed")
            .collect();
        assert_eq!(left.len(), 1, "the draft is gone");
    }

    #[test]
    fn nothing_is_overwritten() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("secret");
        create(&path, b"first").expect("created");
        let error = create(&path, b"second").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).expect("read"), b"first");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("secret");
        create(&path, b"words").expect("created");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            let told = read(&path).expect_err("refused").to_string();
            assert!(
                told.contains(&format!("chmod go= '{}'", path.display())),
                "{told}"
            );
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        assert!(matches!(
            folder(root.path()),
            Err(PrivateFileError::Open { mode: 0o755, .. })
        ));
    }

    /// Opening a FIFO would wait for whoever writes to it.
    #[test]
    fn h4_a_fifo_or_a_device_is_no_private_file_and_a_password_is_short() {
        let root = tempfile::tempdir().expect("folder");
        let fifo = root.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a FIFO");
        let long = root.path().join("password");
        create(&long, &[b'x'; 4097]).expect("created");
        assert!(read(&long).is_ok(), "it could be a key");
        for refused in [
            read(&fifo),
            read(Path::new("/dev/zero")),
            read_password(&fifo),
            read_password(&long),
        ] {
            let error = refused.expect_err("refused");
            assert!(
                matches!(error, PrivateFileError::NotAFile { .. }),
                "{error}"
            );
        }
        assert!(open_own(&fifo, 100).is_err());
    }

    #[test]
    fn a_folder_is_no_private_file() {
        let root = tempfile::tempdir().expect("folder");
        assert!(matches!(
            read(root.path()),
            Err(PrivateFileError::NotAFile { .. })
        ));
    }
}
