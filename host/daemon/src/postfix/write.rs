//! Writing the Postfix configuration: our block in `main.cf` and in `master.cf`, and
//! the tables and maps in a folder of their own.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::installation::{ConfigFile, Installation, InstallationError};
use super::model::{PASSWORD_MAP, PasswordMap, Setup};
use waxseal_system::input_file;
use waxseal_system::secure_fs::{self, Directory, FileMode, PrivateFileError};

/// Mode of public files: Postfix services run as another user.
const PUBLIC: u32 = 0o644;

/// Mode of the folder: Postfix services search it.
const FOLDER: u32 = 0o755;

/// Mode of password maps: smtp(8) opens them before it drops root privileges.
const SECRET: u32 = 0o600;

/// Errors of writing the configuration.
#[derive(Debug, Error)]
pub enum WriteError {
    /// A file or the folder cannot be written.
    #[error("cannot write {path}: {error}", path = .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The files that are there do not allow it.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// A relay's password cannot be read, or others may read it.
    #[error("relay \"{relay}\": cannot read the password: {error}")]
    Password {
        /// Name of the relay.
        relay: String,
        /// The problem of the `password-file`.
        error: PrivateFileError,
    },
    /// The first line of a password file is empty.
    #[error("relay \"{relay}\": {path} has no password: its first line is empty", path = .path.display())]
    NoPassword {
        /// Name of the relay.
        relay: String,
        /// The `password-file`.
        path: PathBuf,
    },
}

/// A file after [`Setup::write`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Whether it was different before.
    pub changed: bool,
}

/// A file as it is to be.
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) mode: u32,
}

impl Setup {
    /// Writes all files; existing ones are replaced, each in one step. A second
    /// write changes nothing.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, a password cannot be read, or the
    /// administrator's `master.cf` has a service of the same name.
    pub fn write(&self, installation: &Installation) -> Result<Vec<Written>, WriteError> {
        installation.admits(self)?;
        // Tables first, the services that use them, then what uses the services.
        let mut wanted = self.tables()?;
        wanted.extend(self.config_files(installation));
        let mut written = Vec::with_capacity(wanted.len());
        for file in wanted {
            let changed = file.differs();
            if changed {
                replace(&file.path, &file.content, file.mode).map_err(|error| {
                    WriteError::Write {
                        path: file.path.clone(),
                        error,
                    }
                })?;
            }
            let path = file.path;
            written.push(Written { path, changed });
        }
        for path in self.unused_maps() {
            fs::remove_file(&path).map_err(|error| WriteError::Write {
                path: path.clone(),
                error,
            })?;
            written.push(Written {
                path,
                changed: true,
            });
        }
        Ok(written)
    }

    /// `master.cf` and `main.cf` with our blocks.
    pub(super) fn config_files(&self, installation: &Installation) -> [Wanted; 2] {
        let main = self.main_cf(|name| installation.existing(name));
        let with = |file: &ConfigFile, block: &str| Wanted {
            path: file.path.clone(),
            content: file.file.with_block(block),
            mode: file.mode,
        };
        [
            with(&installation.master, &self.master_cf()),
            with(&installation.main, &main),
        ]
    }

    /// The tables and maps.
    pub(super) fn tables(&self) -> Result<Vec<Wanted>, WriteError> {
        let mut files = Vec::new();
        if !self.destinations.is_empty() {
            files.push(Wanted {
                path: self.header_checks_file(),
                content: self.header_checks(),
                mode: PUBLIC,
            });
        }
        for map in &self.password_maps {
            files.push(Wanted {
                path: map.file.clone(),
                content: map.content()?,
                mode: SECRET,
            });
        }
        Ok(files)
    }

    /// Password maps of relays that are not in the configuration any more.
    pub(super) fn unused_maps(&self) -> Vec<PathBuf> {
        let used = |path: &PathBuf| self.password_maps.iter().any(|map| map.file == *path);
        files_in(&self.folder)
            .filter(|path| path.extension().is_some_and(|it| it == PASSWORD_MAP))
            .filter(|path| !used(path))
            .collect()
    }
}

impl Wanted {
    /// Whether the file is missing, or has other content or another mode.
    pub(super) fn differs(&self) -> bool {
        let same_mode =
            fs::metadata(&self.path).is_ok_and(|metadata| metadata.mode() & 0o7777 == self.mode);
        let content = input_file::read_text(&self.path, input_file::CONFIGURATION);
        !same_mode || content.ok().as_deref() != Some(&self.content)
    }
}

/// The regular files of a folder; none if it does not exist.
pub(super) fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
}

impl PasswordMap {
    fn content(&self) -> Result<String, WriteError> {
        let bytes = secure_fs::read_password(&self.password_file).map_err(|error| {
            WriteError::Password {
                relay: self.relay.clone(),
                error,
            }
        })?;
        let text = String::from_utf8_lossy(&bytes);
        match text.lines().next().map(str::trim) {
            Some(password) if !password.is_empty() => {
                Ok(format!("{} {}:{password}\n", self.key, self.user))
            }
            _ => Err(WriteError::NoPassword {
                relay: self.relay.clone(),
                path: self.password_file.clone(),
            }),
        }
    }
}

/// Replaces a file atomically. The new file is created with its final mode, so that a
/// secret is never readable by others. The folder can have any owner: root runs this.
pub(super) fn replace(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let (folder, name) = Directory::make_around(path, FOLDER)?;
    folder.replace(name, content.as_bytes(), FileMode::Exactly(mode))
}
