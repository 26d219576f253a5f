//! A directory held open, in which files and folders are made by descriptor.
//!
//! The owner of a directory can rename and replace whatever is in it, also
//! between two steps of a command that root runs there. So once the directory is
//! open no step goes back to a path: what changes its owner, or gets its final
//! name, is the open file itself. Whoever swaps names gets at most a file of
//! their own under a name of their own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// Drafts made by this process so far: threads do not share one.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Symbolic links that one path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;

/// Opens a directory for its place in the tree alone.
const SEARCH: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a directory whose entries can be read and synced.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A point between two system calls, at which somebody else may have acted.
/// Tests act there; nothing else listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A folder was made and is not open yet.
    FolderMade,
    /// A folder is open, and still belongs to this process's user.
    FolderOpen,
    /// A draft was written, and still belongs to this process's user.
    DraftWritten,
    /// The draft has its owner, and not its final name yet.
    DraftOwned,
}

/// Permissions of a file that is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileMode {
    /// These, whatever the umask.
    Exactly(u32),
    /// What the umask leaves of all.
    Usual,
}

/// A directory held open.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory that is there.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or root would have to follow a symbolic link
    /// of another user.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        walk(here()?, path, None, &mut |_| {})
    }

    /// Opens a directory, and makes it and those above it with `mode` where
    /// they are missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or root would have to follow a symbolic link of
    /// another user.
    pub(crate) fn make(path: &Path, mode: u32) -> io::Result<Self> {
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

    /// Opens the directory around a path, and gives the last name of the path.
    ///
    /// # Errors
    ///
    /// As [`Directory::open`]; also when the path ends in no name.
    pub(crate) fn around(path: &Path) -> io::Result<(Self, &OsStr)> {
        Ok((Self::open(parent(path))?, name(path)?))
    }

    /// As [`Directory::around`], making the directory as [`Directory::make`].
    ///
    /// # Errors
    ///
    /// As [`Directory::make`]; also when the path ends in no name.
    pub(crate) fn make_around(path: &Path, mode: u32) -> io::Result<(Self, &OsStr)> {
        Ok((Self::make(parent(path), mode)?, name(path)?))
    }

    /// Opens the directory around a path that begins in this one, made with
    /// `mode` where it is missing, and gives the last name of the path.
    ///
    /// # Errors
    ///
    /// As [`Directory::make`]; also when the path ends in no name.
    pub(crate) fn make_below<'a>(
        &self,
        path: &'a Path,
        mode: u32,
    ) -> io::Result<(Self, &'a OsStr)> {
        let directory = walk(self.0.try_clone()?, parent(path), Some(mode), &mut |_| {})?;
        Ok((directory, name(path)?))
    }

    /// Makes a directory in this one, which must not be there yet.
    ///
    /// # Errors
    ///
    /// When it cannot be made; [`io::ErrorKind::AlreadyExists`] when there is
    /// anything of this name.
    pub(crate) fn make_new(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        make_one(self.0.as_fd(), name, mode, &mut |_| {}).map(Self)
    }

    /// Makes a file, whole or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be made; [`io::ErrorKind::AlreadyExists`] when there is
    /// one already, which stays as it is.
    pub(crate) fn create(&self, name: &OsStr, bytes: &[u8], mode: FileMode) -> io::Result<()> {
        self.create_with(name, bytes, mode, &mut |_| {})
    }

    pub(super) fn create_with(
        &self,
        name: &OsStr,
        bytes: &[u8],
        mode: FileMode,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<()> {
        let draft = draft(name);
        let made = self
            .write(&draft, bytes, mode, between)
            // A link is made or refused in one step; a rename would replace.
            // It is the open file that gets the name, whatever the draft's
            // name stands for by now.
            .and_then(|file| {
                let file = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, file, &self.0, name, AtFlags::SYMLINK_FOLLOW)?;
                self.sync()
            });
        let removed = rustix::fs::unlinkat(&self.0, &draft, AtFlags::empty());
        made.and(removed.map_err(Into::into))
    }

    /// Makes a file or puts another in its place, in one step.
    ///
    /// # Errors
    ///
    /// When it cannot be made; what was there stays as it is.
    pub(crate) fn replace(&self, name: &OsStr, bytes: &[u8], mode: FileMode) -> io::Result<()> {
        self.replace_with(name, bytes, mode, &mut |_| {})
    }

    pub(super) fn replace_with(
        &self,
        name: &OsStr,
        bytes: &[u8],
        mode: FileMode,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<()> {
        let draft = draft(name);
        let made = self
            .write(&draft, bytes, mode, between)
            .and_then(|file| self.rename(&file, &draft, name));
        if made.is_err() {
            let _ = rustix::fs::unlinkat(&self.0, &draft, AtFlags::empty());
        }
        made
    }

    /// A rename goes by name: it is checked that the file itself was meant.
    fn rename(&self, file: &File, draft: &OsStr, name: &OsStr) -> io::Result<()> {
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        rustix::fs::renameat(&self.0, draft, &self.0, name)?;
        let ours = rustix::fs::fstat(file)?;
        let there = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if identity(&ours) != identity(&there) {
            return Err(replaced(name));
        }
        self.sync()
    }

    /// Writes a draft. It is given to the owner of the directory last.
    fn write(
        &self,
        draft: &OsStr,
        bytes: &[u8],
        mode: FileMode,
        between: &mut dyn FnMut(Step),
    ) -> io::Result<File> {
        // Left behind by a process of the same number that was killed here.
        let _ = rustix::fs::unlinkat(&self.0, draft, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = Mode::from_raw_mode(match mode {
            FileMode::Exactly(mode) => mode,
            FileMode::Usual => 0o666,
        });
        let mut file: File = rustix::fs::openat(&self.0, draft, flags, made)?.into();
        file.write_all(bytes)?;
        if let FileMode::Exactly(_) = mode {
            // The umask may have taken bits away that are wanted.
            rustix::fs::fchmod(&file, made)?;
        }
        file.sync_all()?;
        between(Step::DraftWritten);
        inherit_owner(&file, &rustix::fs::fstat(&self.0)?)?;
        between(Step::DraftOwned);
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

/// A name beside `name` that nothing else of this process has.
fn draft(name: &OsStr) -> OsString {
    let mut draft = name.to_owned();
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    draft.push(format!(".{}-{number}.new", std::process::id()));
    draft
}

/// One part of a path that is still to be walked.
enum Part {
    Root,
    Up,
    Down(OsString),
}

/// The parts of a path, last one first.
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

/// Opens a directory step by step, each from the one before; makes what is
/// missing where there is a mode for it.
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
        // With PATH and NOFOLLOW a link is opened itself.
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
                    // Made by another process meanwhile.
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
                if links > MOST_LINKS {
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

/// Root follows links of its own alone: another user's can point anywhere, and
/// elsewhere a moment later.
fn may_follow(link: &Stat, name: &OsStr) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() || link.st_uid == 0 {
        return Ok(());
    }
    let (name, owner) = (name.display(), link.st_uid);
    let text = format!(
        "\"{name}\" is a symbolic link of user {owner}, which is not followed as root; name the folder that it points to"
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
    // What was just made is ours and empty. Anything else has been put in its
    // place, and is not given away. Where nothing is, another process of ours may
    // have begun to fill it.
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    if !ours || (heir(&around).is_some() && !is_empty(&made)?) {
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

/// Whom something is given to that is made in a directory: what root makes belongs
/// to the owner of the directory around it. A key made with `sudo` would be out of
/// the daemon's reach otherwise.
fn heir(around: &Stat) -> Option<(Uid, Gid)> {
    let given = rustix::process::geteuid().is_root() && around.st_uid != 0;
    given.then(|| (Uid::from_raw(around.st_uid), Gid::from_raw(around.st_gid)))
}

fn inherit_owner(made: impl AsFd, around: &Stat) -> io::Result<()> {
    let Some((owner, group)) = heir(around) else {
        return Ok(());
    };
    Ok(rustix::fs::fchown(made, Some(owner), Some(group))?)
}

fn replaced(name: &OsStr) -> io::Error {
    let text = format!(
        "\"{}\" was replaced by somebody else while it was being made",
        name.display()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests;
