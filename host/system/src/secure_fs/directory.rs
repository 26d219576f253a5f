//! An open directory, in which files and folders are created by descriptor.
//!
//! The owner of a directory can rename and replace every entry of it, even between
//! two system calls of a command that root runs there. Therefore no step uses a
//! path once the directory is open: the open file itself gets its owner and its
//! final name. An owner who swaps names gets at most a file of their own under a
//! name of their choice.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// Number of temporary files that this process has created, for unique names.
static TEMPORARY_FILES: AtomicU64 = AtomicU64::new(0);

/// Largest number of symbolic links on one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Flags that open a directory as the start of a path only.
const SEARCH: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Flags that open a directory to list and sync it.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A point between two system calls, at which another user may act. Used by tests
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A folder was created and is not open yet.
    FolderMade,
    /// A folder is open and still belongs to the user of this process.
    FolderOpen,
    /// A temporary file was written and still belongs to the user of this process.
    Written,
    /// The temporary file has its owner, but not its final name.
    Owned,
}

/// What happens to an existing file of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is kept, and the call fails.
    Keep,
    /// It is replaced.
    Replace,
}

/// Permissions of a new file.
#[derive(Clone, Copy, Debug)]
pub enum FileMode {
    /// Exactly this mode, regardless of the umask.
    Exactly(u32),
    /// Mode 0666 less the umask.
    Usual,
}

/// An open directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens an existing directory.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or if root would have to follow a symbolic link of
    /// another user.
    pub fn open(path: &Path) -> io::Result<Self> {
        walk(here()?, path, None, &mut |_| {})
    }

    /// Opens a directory; creates it and its parents with `mode` if they are missing.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or if root would have to follow a symbolic link of
    /// another user.
    pub fn make(path: &Path, mode: u32) -> io::Result<Self> {
        walk(here()?, path, Some(mode), &mut |_| {})
    }

    #[cfg(test)]
    pub(super) fn make_with(
        path: &Path,
        mode: u32,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<Self> {
        walk(here()?, path, Some(mode), between)
    }

    /// Opens the parent directory of a path; returns it with the last name of the path.
    ///
    /// # Errors
    ///
    /// As [`Directory::open`]; also if the path does not end in a name.
    pub fn around(path: &Path) -> io::Result<(Self, &OsStr)> {
        Ok((Self::open(parent(path))?, name(path)?))
    }

    /// As [`Directory::around`], but creates the directory as [`Directory::make`].
    ///
    /// # Errors
    ///
    /// As [`Directory::make`]; also if the path does not end in a name.
    pub fn make_around(path: &Path, mode: u32) -> io::Result<(Self, &OsStr)> {
        Ok((Self::make(parent(path), mode)?, name(path)?))
    }

    /// As [`Directory::make_around`], for a path relative to this directory.
    ///
    /// # Errors
    ///
    /// As [`Directory::make`]; also if the path does not end in a name.
    pub fn make_below<'a>(&self, path: &'a Path, mode: u32) -> io::Result<(Self, &'a OsStr)> {
        let directory = walk(self.0.try_clone()?, parent(path), Some(mode), &mut |_| {})?;
        Ok((directory, name(path)?))
    }

    /// Creates a directory in this one.
    ///
    /// # Errors
    ///
    /// If it cannot be created; [`io::ErrorKind::AlreadyExists`] if there is an
    /// entry with this name.
    pub fn make_new(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        make_one(self.0.as_fd(), name, mode, &mut |_| {}).map(Self)
    }

    /// Creates a file atomically: with all its bytes, or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written; [`io::ErrorKind::AlreadyExists`] if there is an
    /// entry with this name, which is left unchanged.
    pub fn create(&self, name: &OsStr, bytes: &[u8], mode: FileMode) -> io::Result<()> {
        self.put(name, bytes, mode, Existing::Keep, &mut |_| {})
    }

    /// Creates a file or replaces the existing one, atomically.
    ///
    /// # Errors
    ///
    /// If it cannot be written; an existing file is left unchanged.
    pub fn replace(&self, name: &OsStr, bytes: &[u8], mode: FileMode) -> io::Result<()> {
        self.put(name, bytes, mode, Existing::Replace, &mut |_| {})
    }

    pub(super) fn put(
        &self,
        name: &OsStr,
        bytes: &[u8],
        mode: FileMode,
        existing: Existing,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<()> {
        let temporary = temporary_name(name);
        let written = self.write(&temporary, bytes, mode, between);
        let put = written.and_then(|file| match existing {
            Existing::Keep => self.link(&file, name),
            Existing::Replace => self.rename(&file, &temporary, name),
        });
        if put.is_ok() && existing == Existing::Replace {
            return Ok(());
        }
        let removed = rustix::fs::unlinkat(&self.0, &temporary, AtFlags::empty());
        put.and(removed.map_err(Into::into))
    }

    /// Gives an open file its name, unless the name is in use. The kernel links the
    /// open file itself, whatever its temporary name refers to by now.
    fn link(&self, file: &File, name: &OsStr) -> io::Result<()> {
        let file = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, file, &self.0, name, AtFlags::SYMLINK_FOLLOW)?;
        self.sync()
    }

    /// Renames a temporary file, replacing an existing file. A rename uses names:
    /// afterwards it is checked that the open file has the name.
    fn rename(&self, file: &File, temporary: &OsStr, name: &OsStr) -> io::Result<()> {
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        rustix::fs::renameat(&self.0, temporary, &self.0, name)?;
        let ours = rustix::fs::fstat(file)?;
        let there = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if identity(&ours) != identity(&there) {
            return Err(replaced(name));
        }
        self.sync()
    }

    /// Writes a temporary file, and then gives it to the owner of the directory.
    fn write(
        &self,
        temporary: &OsStr,
        bytes: &[u8],
        mode: FileMode,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<File> {
        // A process with the same id may have been killed here and left one.
        let _ = rustix::fs::unlinkat(&self.0, temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = Mode::from_raw_mode(match mode {
            FileMode::Exactly(mode) => mode,
            FileMode::Usual => 0o666,
        });
        let mut file: File = rustix::fs::openat(&self.0, temporary, flags, made)?.into();
        file.write_all(bytes)?;
        if let FileMode::Exactly(_) = mode {
            // The umask may have removed bits.
            rustix::fs::fchmod(&file, made)?;
        }
        file.sync_all()?;
        between(Step::Written);
        inherit_owner(&file, &rustix::fs::fstat(&self.0)?)?;
        between(Step::Owned);
        Ok(file)
    }

    fn sync(&self) -> io::Result<()> {
        let directory = rustix::fs::openat(&self.0, ".", READ, Mode::empty())?;
        Ok(rustix::fs::fsync(directory)?)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn name(path: &Path) -> io::Result<&OsStr> {
    let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no file name");
    path.file_name().ok_or_else(unnamed)
}

/// A name for a temporary file that is unique in this process.
fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = name.to_owned();
    let number = TEMPORARY_FILES.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".{}-{number}.new", std::process::id()));
    temporary
}

/// A component of a path.
enum Part {
    Root,
    Up,
    Down(OsString),
}

/// The components of a path, the last one first.
fn parts(path: &Path) -> impl Iterator<Item = Part> {
    path.components().rev().filter_map(|part| match part {
        Component::RootDir => Some(Part::Root),
        Component::ParentDir => Some(Part::Up),
        Component::Normal(name) => Some(Part::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// The working directory.
fn here() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(".", SEARCH, Mode::empty())?)
}

/// Opens a directory component by component, each relative to the one before;
/// creates missing ones if there is a mode for them.
fn walk(
    mut at: OwnedFd,
    path: &Path,
    missing: Option<u32>,
    between: &mut dyn FnMut(Step),
) -> io::Result<Directory> {
    let mut left: Vec<Part> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = left.pop() {
        let name = match part {
            Part::Root => {
                at = rustix::fs::open("/", SEARCH, Mode::empty())?;
                continue;
            }
            Part::Up => {
                at = rustix::fs::openat(&at, "..", SEARCH, Mode::empty())?;
                continue;
            }
            Part::Down(name) => name,
        };
        // With PATH and NOFOLLOW, a symbolic link itself is opened.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match (
            rustix::fs::openat(&at, &name, flags, Mode::empty()),
            missing,
        ) {
            (Err(Errno::NOENT), Some(mode)) => {
                match make_one(at.as_fd(), &name, mode, between) {
                    Ok(made) => {
                        at = made;
                        continue;
                    }
                    // Another process created it in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        rustix::fs::openat(&at, &name, flags, Mode::empty())?
                    }
                    Err(error) => return Err(error),
                }
            }
            (opened, _) => opened?,
        };
        let stat = rustix::fs::fstat(&next)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => at = next,
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                may_follow(&stat, &name)?;
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                let target = PathBuf::from(OsStr::from_bytes(target.as_bytes()));
                left.extend(parts(&target));
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
    Ok(Directory(at))
}

/// Checks that a symbolic link may be followed. Root follows its own links only: a
/// link of another user can change its target at any time.
fn may_follow(link: &Stat, name: &OsStr) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() || link.st_uid == 0 {
        return Ok(());
    }
    let (name, owner) = (name.display(), link.st_uid);
    let text = format!(
        "\"{name}\" is a symbolic link of user {owner}, which is not followed as root; use the path of its target"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn make_one(
    around: impl AsFd,
    name: &OsStr,
    mode: u32,
    between: &mut dyn FnMut(Step),
) -> io::Result<OwnedFd> {
    rustix::fs::mkdirat(&around, name, Mode::from_raw_mode(mode))?;
    between(Step::FolderMade);
    let made = rustix::fs::openat(&around, name, READ, Mode::empty())?;
    let stat = rustix::fs::fstat(&made)?;
    let around = rustix::fs::fstat(&around)?;
    // The new directory belongs to this process's user and is empty. Anything else
    // was put in its place by another user, and its owner must not be changed. If
    // the owner stays the same, another process of ours may already have filled it.
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    if !ours || (inherited_owner(&around).is_some() && !is_empty(&made)?) {
        return Err(replaced(name));
    }
    between(Step::FolderOpen);
    inherit_owner(&made, &around)?;
    Ok(made)
}

fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The owner and group of a new entry of a directory, if they must be changed:
/// entries created by root belong to the owner of the directory. Without this, the
/// daemon could not read a key that was created with `sudo`.
fn inherited_owner(around: &Stat) -> Option<(Uid, Gid)> {
    let given = rustix::process::geteuid().is_root() && around.st_uid != 0;
    given.then(|| (Uid::from_raw(around.st_uid), Gid::from_raw(around.st_gid)))
}

fn inherit_owner(made: impl AsFd, around: &Stat) -> io::Result<()> {
    let Some((owner, group)) = inherited_owner(around) else {
        return Ok(());
    };
    Ok(rustix::fs::fchown(made, Some(owner), Some(group))?)
}

fn replaced(name: &OsStr) -> io::Error {
    let text = format!(
        "\"{}\" was replaced by another user while it was being created",
        name.display()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests;
