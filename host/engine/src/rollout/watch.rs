//! Tells when files may have changed.
//!
//! The folders of the files are watched by inotify, and not the files: editors
//! and installers put a new file in the place of the old one, and a symbolic
//! link somewhere on the way may be pointed elsewhere. Whatever happens in one
//! of those folders, the files are looked at (`stat`), and only a change there is
//! reported. Because some file systems report nothing, the files are
//! looked at every few seconds as well.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe;

/// Interval of checks without notifications.
const POLL: Duration = Duration::from_secs(3);

/// How long files have to look the same before they count as written. Longer than the kernel's clock of file
/// times ticks (10 ms at most), so that what is written after that is seen.
const SETTLE: Duration = Duration::from_millis(15);

/// How often that is waited for a file that grows, at most: two seconds.
const SETTLES: usize = 133;

/// Links on the way to one file: the kernel follows as many.
const LINKS: usize = 40;

/// What happens in a folder when one of its files is another afterwards.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR);

/// An inotify is read as a pipe is, and this is a pipe's end in all but name.
type Inotify = pipe::Receiver;

/// Watches files.
pub(super) struct Watch {
    /// None where the system has no more of them: then it is looked every few
    /// seconds, and that is all.
    inotify: Option<Inotify>,
    folders: BTreeSet<PathBuf>,
    paths: Vec<PathBuf>,
    seen: Vec<Option<Look>>,
}

/// What a file looks like from outside: it is another if any of this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        Self {
            inotify: start(),
            folders: BTreeSet::new(),
            paths: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Watches these files from now on. They count as changed if they are not
    /// those that were watched.
    pub(super) fn set(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            self.seen = Vec::new();
            self.paths = paths;
        }
    }

    /// Waits until the files may have changed since they were last said to have.
    pub(super) async fn changed(&mut self) {
        loop {
            // Before the check: later changes are reported.
            self.watch_folders();
            let looks = self.looks();
            if looks != self.seen {
                self.seen = self.settled(looks).await;
                return;
            }
            self.event(POLL).await;
        }
    }

    /// Waits until they look the same twice: somebody may be writing.
    async fn settled(&self, mut looks: Vec<Option<Look>>) -> Vec<Option<Look>> {
        for _ in 0..SETTLES {
            tokio::time::sleep(SETTLE).await;
            let again = self.looks();
            if again == looks {
                break;
            }
            looks = again;
        }
        looks
    }

    fn looks(&self) -> Vec<Option<Look>> {
        self.paths.iter().map(|path| look(path)).collect()
    }

    /// Waits until something happens in one of the folders, or for that time.
    pub(super) async fn event(&self, most: Duration) {
        let reported = async {
            match &self.inotify {
                Some(inotify) => drain(inotify).await,
                None => std::future::pending().await,
            }
        };
        // That nothing happened is the usual case.
        let _ = tokio::time::timeout(most, reported).await;
    }

    fn watch_folders(&mut self) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        let folders: BTreeSet<PathBuf> = self
            .paths
            .iter()
            .flat_map(|path| folders_of(path))
            .collect();
        if !self.folders.is_subset(&folders) {
            // Some are not needed any more. Another inotify is the short way to
            // be rid of them.
            self.folders.clear();
            self.inotify = start();
            return self.watch_folders();
        }
        // Again each time: a folder may be another of the same name.
        for folder in &folders {
            // One that is not there is seen by looking.
            let _ = inotify::add_watch(inotify.as_fd(), folder, EVENTS);
        }
        self.folders = folders;
    }
}

fn start() -> Option<Inotify> {
    let made = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
        .map_err(std::io::Error::from)
        .and_then(pipe::Receiver::from_owned_fd_unchecked);
    match made {
        Ok(inotify) => Some(inotify),
        Err(error) => {
            tracing::warn!(
                "changed files are noticed after {POLL:?} only: inotify: {error} (see \
                 fs.inotify.max_user_instances)"
            );
            None
        }
    }
}

/// Takes pending notifications, once there are any. What it was does not
/// matter.
async fn drain(inotify: &Inotify) {
    if inotify.readable().await.is_err() {
        return std::future::pending().await;
    }
    let mut events = [0; 4096];
    while inotify.try_read(&mut events).is_ok_and(|length| length > 0) {}
}

fn look(path: &Path) -> Option<Look> {
    let metadata = fs::metadata(path).ok()?;
    Some(Look {
        file: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// The folders in which a change can make `path` another file: its own, those
/// of the links that it goes through, and those of their targets.
fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut ways = vec![path.to_owned()];
    while let Some(way) = ways.pop() {
        if seen.len() > LINKS || !seen.insert(way.clone()) {
            continue;
        }
        folders.insert(folder_of(&way));
        for link in way.ancestors() {
            let Ok(target) = fs::read_link(link) else {
                continue;
            };
            let around = folder_of(link);
            let mut further = around.join(target);
            if let Ok(rest) = way.strip_prefix(link)
                && !rest.as_os_str().is_empty()
            {
                further.push(rest);
            }
            folders.insert(around);
            ways.push(further);
        }
    }
    folders
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Far more than any of this takes; only a test that fails waits for it.
    const LONG: Duration = Duration::from_secs(20);

    async fn reported(watch: &mut Watch) -> bool {
        tokio::time::timeout(LONG, watch.changed()).await.is_ok()
    }

    async fn watch(path: &Path) -> Watch {
        let mut watch = Watch::new();
        watch.set(vec![path.to_owned()]);
        assert!(reported(&mut watch).await, "new files count as changed");
        watch
    }

    #[tokio::test]
    async fn every_way_to_change_a_file_is_noticed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("policy.wasm");
        fs::write(&path, "one").expect("written");
        let mut watch = watch(&path).await;
        fs::write(&path, "two").expect("written");
        assert!(reported(&mut watch).await, "written in place");
        fs::write(folder.path().join("new"), "two").expect("written");
        fs::rename(folder.path().join("new"), &path).expect("renamed");
        assert!(reported(&mut watch).await, "another in its place");
        fs::remove_file(&path).expect("removed");
        assert!(reported(&mut watch).await, "removed");
        fs::write(&path, "two").expect("written");
        assert!(reported(&mut watch).await, "made again");
    }

    #[tokio::test]
    async fn a_link_on_the_way_that_is_pointed_elsewhere_is_noticed() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        for name in ["1", "2"] {
            fs::create_dir_all(at(name)).expect("made");
            fs::write(at(name).join("policy.wasm"), name).expect("written");
        }
        symlink("1", at("..data")).expect("linked");
        symlink("..data/policy.wasm", at("policy.wasm")).expect("linked");
        let mut watch = watch(&at("policy.wasm")).await;
        symlink("2", at("..new")).expect("linked");
        fs::rename(at("..new"), at("..data")).expect("renamed");
        assert!(reported(&mut watch).await, "the link in the middle");
        fs::write(at("2").join("policy.wasm"), "three").expect("written");
        assert!(reported(&mut watch).await, "the file at the end");
    }

    #[tokio::test]
    async fn links_in_a_circle_end() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        symlink("b", at("a")).expect("linked");
        symlink("a", at("b")).expect("linked");
        assert_eq!(
            folders_of(&at("a")),
            BTreeSet::from([root.path().to_owned()])
        );
    }
}
