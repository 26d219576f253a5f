//! Writing the Postfix configuration to a folder.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::model::{PasswordMap, Setup};
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

impl Setup {
    /// Writes `main.cf`, `master.cf`, `milter_header_checks` and the password maps to
    /// [`folder`](Setup::folder), and returns the written files.
    ///
    /// Each file is replaced atomically, so that a Postfix process never reads a
    /// partial file.
    ///
    /// # Errors
    ///
    /// If a password cannot be read (no file is written), or a file cannot be written.
    pub fn write(&self) -> Result<Vec<PathBuf>, WriteError> {
        let mut files = vec![
            (self.folder.join("main.cf"), self.main_cf(), PUBLIC),
            (self.folder.join("master.cf"), self.master_cf(), PUBLIC),
        ];
        if !self.destinations.is_empty() {
            files.push((self.header_checks_file(), self.header_checks(), PUBLIC));
        }
        for map in &self.password_maps {
            files.push((map.file.clone(), map.content()?, SECRET));
        }
        files
            .into_iter()
            .map(
                |(path, content, mode)| match replace(&path, &content, mode) {
                    Ok(()) => Ok(path),
                    Err(error) => Err(WriteError::Write { path, error }),
                },
            )
            .collect()
    }
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
fn replace(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let (folder, name) = Directory::make_around(path, FOLDER)?;
    folder.replace(name, content.as_bytes(), FileMode::Exactly(mode))
}
