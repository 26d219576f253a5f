//! The configuration files of a Postfix, with the administrator's part and ours
//! apart.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::block::{BlockError, File};
use super::lines::parameters;
use super::master_cf::entries;
use super::model::Setup;
use super::setup::QUEUE_DIRECTORY;
use waxseal_system::input_file;

/// Folder of Waxseal's tables and maps in Postfix's configuration directory.
const FOLDER: &str = "waxseal";

/// A configuration file that cannot be used.
#[derive(Debug, Error)]
pub enum InstallationError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}. The folder of Postfix's configuration is given by --postfix-directory", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Its marks do not enclose one block.
    #[error("{path}: {error}. Correct the file by hand, then repeat the command", path = .path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: BlockError,
    },
    /// The administrator has a service of a name that Waxseal uses.
    #[error("{path}:{line}: there is already a service \"{service}\" outside Waxseal's block; remove it, then repeat the command", path = .path.display())]
    Service {
        /// `master.cf`.
        path: PathBuf,
        /// The line.
        line: usize,
        /// Name and kind.
        service: String,
    },
}

/// `main.cf` and `master.cf` of a Postfix.
#[derive(Debug)]
pub struct Installation {
    pub(super) folder: PathBuf,
    pub(super) main: ConfigFile,
    pub(super) master: ConfigFile,
}

/// One of them.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// The file itself, where the name is a link.
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) mode: u32,
    pub(super) file: File,
}

impl Installation {
    /// Reads the files in a configuration directory, which must be an absolute path.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or has damaged marks.
    pub fn read(folder: &Path) -> Result<Self, InstallationError> {
        Ok(Self {
            folder: folder.to_owned(),
            main: ConfigFile::read(&folder.join("main.cf"))?,
            master: ConfigFile::read(&folder.join("master.cf"))?,
        })
    }

    /// The folder of tables and maps in a configuration directory.
    pub fn tables_in(folder: &Path) -> PathBuf {
        folder.join(FOLDER)
    }

    /// The queue directory: the one of `main.cf`, or the default.
    pub fn queue_directory(&self) -> PathBuf {
        let set = parameters(&self.main.text).filter(|it| it.name == "queue_directory");
        set.last()
            .map_or_else(|| QUEUE_DIRECTORY.into(), |it| it.value.into())
    }

    /// The value that the administrator has given a parameter.
    pub fn existing(&self, name: &str) -> Option<String> {
        let set = parameters(&self.main.file.rest).filter(|it| it.name == name);
        set.last().map(|it| it.value)
    }

    /// Refuses a setup whose services the administrator has under the same names.
    pub(super) fn admits(&self, setup: &Setup) -> Result<(), InstallationError> {
        let known = entries(&self.master.file.rest).find(|entry| {
            let mut ours = setup.services.iter();
            ours.any(|service| service.name == entry.name && service.kind == entry.kind)
        });
        match known {
            None => Ok(()),
            Some(entry) => Err(InstallationError::Service {
                path: self.master.path.clone(),
                line: self.master.line_of(entry.line),
                service: format!("{} {}", entry.name, entry.kind),
            }),
        }
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, InstallationError> {
        let failed = |error| InstallationError::Read {
            path: path.to_owned(),
            error,
        };
        let path = fs::canonicalize(path).map_err(failed)?;
        let mode = fs::metadata(&path).map_err(failed)?.mode() & 0o7777;
        let text = input_file::read_text(&path, input_file::CONFIGURATION).map_err(failed)?;
        match File::parse(&text) {
            Ok(file) => Ok(Self {
                path,
                text,
                mode,
                file,
            }),
            Err(error) => Err(InstallationError::Block { path, error }),
        }
    }

    /// The line of the whole file for one of the administrator's part.
    pub(super) fn line_of(&self, line: usize) -> usize {
        match &self.file.block {
            // The marks are two lines.
            Some(block) if line >= block.line => line + block.text.lines().count() + 2,
            _ => line,
        }
    }
}
