//! Reading files that somebody named: in settings, on a command line, in a
//! control request.
//!
//! Every such file is opened here. A name can be wrong: a device that never ends, a FIFO that nobody writes
//! to, a disk image. Such a file is refused with the reason before any of it is read; a FIFO is not waited
//! for, and at most one byte more than the limit is ever read.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use thiserror::Error;

/// What a file is for, and how many bytes such a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    what: &'static str,
    limit: u64,
}

/// A policy's component. One in Python with its interpreter has 40 MB, one in Rust less than one.
pub(crate) const COMPONENT: Kind = Kind::new("component", 64 << 20);

/// A policy's settings. A line of 100 bytes for each of 100,000 domains is 10 MB; a policy could not read
/// more within the memory and instructions that `configure` has.
pub(crate) const SETTINGS: Kind = Kind::new("settings file", 16 << 20);

/// `waxseal.toml`. Much smaller than a policy's settings: relays and listeners are few.
pub(crate) const CONFIGURATION: Kind = Kind::new("configuration", 16 << 20);

/// A lookup table. Two million lines of 100 bytes; it is held in memory, at about twice its size.
pub(crate) const TABLE: Kind = Kind::new("table", 256 << 20);

/// A policy test file. Whole messages may stand in it.
pub(crate) const TEST_FILE: Kind = Kind::new("test file", 16 << 20);

/// A message for a trial, a test or a replay. Two and a half times the default of `limits.message-size`,
/// so that what the daemon takes can be tried with room to spare.
pub(crate) const MESSAGE: Kind = Kind::new("message", 128 << 20);

/// A copy of any input of a policy in the state folder: the largest is a table.
pub(crate) const COPY: Kind = Kind::new("copy", TABLE.limit);

/// A recording. Only its lines are held in memory, each with a limit of its own, so that the size of the
/// file does not matter.
pub(crate) const RECORDING: Kind = Kind::new("recording", u64::MAX);

/// `/etc/group`. A line for each of a hundred thousand groups.
pub(crate) const GROUPS: Kind = Kind::new("group file", 16 << 20);

impl Kind {
    pub(crate) const fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit }
    }

    /// Bytes that such a file may have.
    pub(crate) const fn limit(self) -> u64 {
        self.limit
    }
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    /// It is something else than a file of bytes.
    #[error("it is {0}, not a regular file; name a regular file")]
    NotRegular(Type),
    /// It is too large.
    #[error("it has {bytes} bytes, more than the {limit} bytes that a {what} may have")]
    TooLarge {
        /// What it is for.
        what: &'static str,
        /// Its bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It grew while it was read, or its size is not known to the system.
    #[error("it has more than the {limit} bytes that a {what} may have")]
    Endless {
        /// What it is for.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// What a file is that is not a regular one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type(&'static str);

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

/// Opens a regular file of at most that many bytes.
///
/// # Errors
///
/// When it cannot be opened, is not a regular file, or is too large ([`Unfit`]).
pub(crate) fn open(path: &Path, kind: Kind) -> io::Result<File> {
    // Opening alone does something to some devices (a tape is rewound), and fails on a socket without
    // saying why. What is decided on is the descriptor, below.
    regular(fs::metadata(path)?.file_type())?;
    // Not waiting for whoever writes to a FIFO that was put there meanwhile; no terminal becomes ours.
    // Rust adds O_CLOEXEC.
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

/// Reads a regular file of at most that many bytes.
///
/// # Errors
///
/// As [`open`], and when it cannot be read.
pub(crate) fn read(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    read_whole(&open(path, kind)?, kind)
}

/// The same as text.
///
/// # Errors
///
/// As [`read`]; [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub(crate) fn read_text(path: &Path, kind: Kind) -> io::Result<String> {
    String::from_utf8(read(path, kind)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
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

    /// The file is 300 GB on paper: reading it would be noticed.
    #[test]
    fn h4_a_file_over_the_limit_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("image");
        let file = File::create(&path).expect("made");
        file.set_len(300 << 30).expect("sparse");
        let error = read(&path, COMPONENT).expect_err("refused").to_string();
        assert_eq!(
            error,
            "it has 322122547200 bytes, more than the 67108864 bytes that a component may have"
        );
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

    /// Files of `/proc` have no size and an end, or none.
    #[test]
    fn h4_a_file_whose_size_the_system_does_not_know_is_read_to_the_limit_only() {
        let error = read(Path::new("/proc/self/maps"), SMALL).expect_err("refused");
        let limit = 10;
        let what = "settings file";
        assert_eq!(unfit(&error), Unfit::Endless { what, limit });
    }
}
