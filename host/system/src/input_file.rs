//! Bounded reading of files named in settings, on a command line or in a control request.
//!
//! Such a name can be wrong: an endless device, a FIFO without a writer, a disk image. The file is refused
//! with the reason before any of it is read. Opening never waits for the writer of a FIFO, and at most one
//! byte more than the limit is read.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use thiserror::Error;

/// The kind of an input file, with its limit in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    what: &'static str,
    limit: u64,
}

/// A policy's component. One in Python with its interpreter has 40 MB, one in Rust less than 1 MB.
pub const COMPONENT: Kind = Kind::new("component", 64 << 20);

/// A policy's settings. A line of 100 bytes for each of 100,000 domains is 10 MB; more cannot be parsed
/// within the limits of memory and instructions of `configure`.
pub const SETTINGS: Kind = Kind::new("settings file", 16 << 20);

/// `waxseal.toml`, which is much smaller than a policy's settings.
pub const CONFIGURATION: Kind = Kind::new("configuration", 16 << 20);

/// A lookup table: two million lines of 100 bytes. In memory it takes about twice its size.
pub const TABLE: Kind = Kind::new("table", 256 << 20);

/// A policy test file, which may contain whole messages.
pub const TEST_FILE: Kind = Kind::new("test file", 16 << 20);

/// A message for a trial, a test or a replay: 2.5 times the default of `limits.message-size`, so that every
/// message that the daemon accepts can be tried.
pub const MESSAGE: Kind = Kind::new("message", 128 << 20);

/// A copy of a policy input in the state folder; tables are the largest.
pub const COPY: Kind = Kind::new("copy", TABLE.limit);

/// A recording. It is read line by line, and each line has a limit of its own, so that the size of the
/// file does not matter.
pub const RECORDING: Kind = Kind::new("recording", u64::MAX);

/// `/etc/group`: a line for each of 100,000 groups.
pub const GROUPS: Kind = Kind::new("group file", 16 << 20);

impl Kind {
    /// A kind of file, named `what` in errors, of at most `limit` bytes.
    pub const fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit }
    }

    /// Limit in bytes.
    pub const fn limit(self) -> u64 {
        self.limit
    }
}

/// Why a file is refused; the source of an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is not a regular file.
    #[error("it is {0}, not a regular file; name a regular file")]
    NotRegular(Type),
    /// It is too large.
    #[error("it has {bytes} bytes, more than the {limit} bytes that a {what} may have")]
    TooLarge {
        /// Kind of file.
        what: &'static str,
        /// Its length in bytes.
        bytes: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// It grew while it was read, or the system does not report its size.
    #[error("it has more than the {limit} bytes that a {what} may have")]
    Endless {
        /// Kind of file.
        what: &'static str,
        /// Limit in bytes.
        limit: u64,
    },
}

/// A type of file other than a regular file. `Display` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type(&'static str);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        let kind = match unfit {
            Unfit::NotRegular(Type("a directory")) => io::ErrorKind::IsADirectory,
            Unfit::NotRegular(_) => io::ErrorKind::InvalidInput,
            Unfit::TooLarge { .. } | Unfit::Endless { .. } => io::ErrorKind::FileTooLarge,
        };
        Self::new(kind, unfit)
    }
}

/// Opens a regular file within its limit.
///
/// # Errors
///
/// If it cannot be opened, is not a regular file, or is too large ([`Unfit`]).
pub fn open(path: &Path, kind: Kind) -> io::Result<File> {
    // Opening has side effects on some devices (a tape is rewound), and fails on a socket with an unclear
    // error. The decision is made on the descriptor below.
    regular(fs::metadata(path)?.file_type())?;
    // Do not wait for the writer of a FIFO that was put there in the meantime, and do not acquire a
    // controlling terminal. Rust adds O_CLOEXEC.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    regular(metadata.file_type())?;
    if metadata.len() > kind.limit {
        let (what, bytes, limit) = (kind.what, metadata.len(), kind.limit);
        return Err(Unfit::TooLarge { what, bytes, limit }.into());
    }
    Ok(file)
}

/// Reads a regular file within its limit.
///
/// # Errors
///
/// As [`open`]; also if it cannot be read.
pub fn read(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    read_whole(&open(path, kind)?, kind)
}

/// Reads a regular file within its limit as UTF-8.
///
/// # Errors
///
/// As [`read`]; [`io::ErrorKind::InvalidData`] if it is not valid UTF-8.
pub fn read_text(path: &Path, kind: Kind) -> io::Result<String> {
    String::from_utf8(read(path, kind)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

fn read_whole(file: &File, kind: Kind) -> io::Result<Vec<u8>> {
    let expected = file.metadata()?.len().min(kind.limit);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX))?;
    let limit = kind.limit;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let what = kind.what;
        return Err(Unfit::Endless { what, limit }.into());
    }
    Ok(bytes)
}

fn regular(file: FileType) -> Result<(), Unfit> {
    let other = match () {
        () if file.is_file() => return Ok(()),
        () if file.is_dir() => "a directory",
        () if file.is_fifo() => "a FIFO",
        () if file.is_socket() => "a socket",
        () if file.is_char_device() => "a character device",
        () if file.is_block_device() => "a block device",
        () if file.is_symlink() => "a symbolic link",
        () => "of an unknown type",
    };
    Err(Unfit::NotRegular(Type(other)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const SMALL: Kind = Kind::new("settings file", 10);

    fn unfit(error: &io::Error) -> Unfit {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        Unfit::clone(inner.expect("a reason of ours"))
    }

    #[test]
    fn h4_what_is_not_a_regular_file_is_refused_at_once_with_the_reason() {
        let folder = tempfile::tempdir().expect("folder");
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a FIFO");
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).expect("a link");
        for (path, what) in [
            (Path::new("/dev/zero"), "a character device"),
            (folder.path(), "a directory"),
            (&fifo, "a FIFO"),
            (&link, "a FIFO"),
            (&socket, "a socket"),
        ] {
            for read in [read(path, SMALL).map(drop), open(path, SMALL).map(drop)] {
                let error = read.expect_err("refused");
                assert_eq!(unfit(&error), Unfit::NotRegular(Type(what)), "{error}");
            }
        }
    }

    /// A sparse file of 300 GB, which could not be read into memory.
    #[test]
    fn h4_a_file_over_the_limit_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("image");
        let file = File::create(&path).expect("made");
        file.set_len(300 << 30).expect("sparse");
        let error = read(&path, COMPONENT).expect_err("refused");
        let (what, bytes, limit) = ("component", 300 << 30, 64 << 20);
        assert_eq!(unfit(&error), Unfit::TooLarge { what, bytes, limit });
    }

    #[test]
    fn h4_the_limit_itself_is_allowed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("settings");
        fs::write(&path, "0123456789").expect("written");
        assert_eq!(read_text(&path, SMALL).expect("read"), "0123456789");
        fs::write(&path, "0123456789x").expect("written");
        assert!(read(&path, SMALL).is_err());
    }

    /// Files of `/proc` have size 0 and may have any content.
    #[test]
    fn h4_a_file_whose_size_the_system_does_not_know_is_read_to_the_limit_only() {
        let error = read(Path::new("/proc/self/maps"), SMALL).expect_err("refused");
        let limit = 10;
        let what = "settings file";
        assert_eq!(unfit(&error), Unfit::Endless { what, limit });
    }
}
