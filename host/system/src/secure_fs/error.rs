//! The error of a private file that cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a private file or folder cannot be used. The text includes the remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It is not a regular file, or it is too large.
    #[error("{} is not a regular file of at most {limit} bytes", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// Limit in bytes.
        limit: u64,
    },
    /// Other users may read or change it.
    #[error("other users may read or change {} (mode {mode:04o}); run: chmod go= '{}'", .path.display(), .path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user, and only files of this process's user are used.
    #[error("{} belongs to user {owner}: only files of user {us} are used here", .path.display())]
    NotOurs {
        /// The file or folder.
        path: PathBuf,
        /// Numeric user who owns it.
        owner: u32,
        /// Numeric user who runs this process.
        us: u32,
    },
    /// It is larger than a valid file of its kind.
    #[error("{} has {length} bytes, more than a valid file has", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// It belongs to a user who is not trusted.
    #[error("{} belongs to user {owner}, who is neither root nor the user of this process ({us}); run: chown {us} '{}'", .path.display(), .path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Numeric user who owns it.
        owner: u32,
        /// Numeric user who runs this process.
        us: u32,
    },
}
