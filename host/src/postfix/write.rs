//! Writes the configuration into a folder of its own.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::model::{PasswordMap, Setup};
use crate::secure_fs::{self, Directory, FileMode, PrivateFileError};

/// What everybody may read: Postfix's own services run as another user.
const PUBLIC: u32 = 0o644;

/// The folder of the tables, which Postfix's own services search.
const FOLDER: u32 = 0o755;

/// For passwords: smtp(8) opens its maps before it gives up root.
const SECRET: u32 = 0o600;

/// Why the configuration could not be written.
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
    #[error("relay \"{relay}\": its password: {error}")]
    Password {
        /// Name of the relay.
        relay: String,
        /// What is wrong with the `password-file`.
        error: PrivateFileError,
    },
    /// A relay's password file has nothing on its first line.
    #[error("relay \"{relay}\": the first line of {path} should be the password, and is empty", path = .path.display())]
    NoPassword {
        /// Name of the relay.
        relay: String,
        /// The `password-file`.
        path: PathBuf,
    },
}

impl Setup {
    /// Writes `main.cf`, `master.cf`, `milter_header_checks` and the password
    /// maps into [`folder`](Setup::folder), and gives the files written.
    ///
    /// Each file takes the place of an old one in one step: a Postfix process
    /// that starts meanwhile reads the one or the other, never half of it.
    ///
    /// # Errors
    ///
    /// When a password cannot be read (nothing has been written then), or a
    /// file not be written.
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

/// Each file takes the place of an old one in one step, and has its mode from the
/// beginning: a secret is at no moment readable for others. The folder may be
/// anybody's: it is root who runs this.
fn replace(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let (folder, name) = Directory::make_around(path, FOLDER)?;
    folder.replace(name, content.as_bytes(), FileMode::Exactly(mode))
}
