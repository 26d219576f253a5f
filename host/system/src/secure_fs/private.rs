//! Private files and folders: keys, passwords, the secret, state.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::directory::{Directory, FileMode};
use super::error::PrivateFileError;
use crate::input_file::{self, Kind};
use rustix::fs::OFlags;

/// Limit of a key or secret in bytes; none has as many. A wrong path must not be
/// read into memory whole.
const LIMIT: u64 = 64 * 1024;

/// A private file. A FIFO or a device is refused without waiting for it.
const PRIVATE: Kind = Kind::new("private file", LIMIT);

/// A password. Tokens used as passwords have one or two thousand bytes.
const PASSWORD: Kind = Kind::new("password", 4096);

/// Mode of private files: `rw-------`.
const FILE: FileMode = FileMode::Exactly(0o600);

/// Mode of private folders: `rwx------`.
const FOLDER: u32 = 0o700;

/// Reads a private file of at most 64 KiB.
///
/// The file must belong to root or to the user of this process (root accepts any
/// owner), with no permission for group and others. Permissions are checked on
/// the open file.
///
/// # Errors
///
/// If the file cannot be read, or if other users may read or change it.
pub fn read(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    read_kind(path, PRIVATE)
}

/// Reads a private file of at most 4,096 bytes with a password on its first line.
///
/// # Errors
///
/// As [`read`].
pub fn read_password(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    read_kind(path, PASSWORD)
}

fn read_kind(path: &Path, kind: Kind) -> Result<Vec<u8>, PrivateFileError> {
    let failed = |error| PrivateFileError::Read {
        path: path.to_owned(),
        error,
    };
    // The open file is checked, so that nobody can swap it in between.
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

/// Creates a private folder (0700) with its missing parents, or checks the
/// existing one.
///
/// # Errors
///
/// If the folder cannot be created, or if other users may access it.
pub fn folder(path: &Path) -> Result<(), PrivateFileError> {
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

/// Opens a file of at most `limit` bytes that only the user of this process can
/// have written. A symbolic link is not followed.
///
/// # Errors
///
/// If the file cannot be opened, or if another user could have written it.
pub fn open_own(path: &Path, limit: u64) -> Result<File, PrivateFileError> {
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
        return Err(PrivateFileError::NotAFile { path, limit });
    }
    if metadata.len() > limit {
        return Err(PrivateFileError::TooLarge {
            path: path.to_owned(),
            length: metadata.len(),
        });
    }
    check_own(path, &metadata)?;
    Ok(file)
}

/// Checks that only the user of this process can have written into a folder.
///
/// # Errors
///
/// If the path is not a folder, or if another user could have written into it.
pub fn check_own_folder(path: &Path) -> Result<(), PrivateFileError> {
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

/// Creates a private folder (0700) with its missing parents, unless it exists.
///
/// # Errors
///
/// If it cannot be created.
pub fn make_folder(path: &Path) -> io::Result<()> {
    Directory::make(path, FOLDER).map(drop)
}

/// Creates or replaces a private file (0600) atomically.
///
/// # Errors
///
/// If it cannot be written; an existing file is left unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = Directory::around(path)?;
    directory.replace(name, bytes, FILE)
}

/// Creates a private file (0600) atomically.
///
/// # Errors
///
/// If it cannot be written; [`io::ErrorKind::AlreadyExists`] if the file exists,
/// which is left unchanged.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = Directory::around(path)?;
    directory.create(name, bytes, FILE)
}

fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let us = rustix::process::geteuid();
    let owner = metadata.uid();
    // With `sudo waxseal check`, root reads files of the daemon's user, which is
    // not known here.
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
    fn a_created_file_is_private_and_readable() {
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
        assert_eq!(left.len(), 1, "the temporary file is gone");
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
    fn a_file_that_others_may_read_is_refused_with_the_command_to_fix_it() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("secret");
        create(&path, b"words").expect("created");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            let error = read(&path).expect_err("refused");
            assert!(
                matches!(error, PrivateFileError::Open { mode: found, .. } if found == mode),
                "{error}"
            );
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        assert!(matches!(
            folder(root.path()),
            Err(PrivateFileError::Open { mode: 0o755, .. })
        ));
    }

    /// Opening a FIFO would wait for a writer.
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
