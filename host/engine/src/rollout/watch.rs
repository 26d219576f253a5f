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
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventStream, Inotify, StreamExt as _, WatchDescriptor, WatchMask};

/// Interval of checks without notifications.
const POLL: Duration = Duration::from_secs(3);

/// How long files have to look the same before they count as written. Longer than the kernel's clock of file
/// times ticks (10 ms at most), so that what is written after that is seen.
const SETTLE: Duration = Duration::from_millis(15);

/// How often that is waited for a file that grows, at most: two seconds.
const SETTLES: usize = 133;

/// Bytes of events that are read at once. One with the longest name has 272.
const BUFFER: usize = 4096;

/// Events that are taken at once, so that a burst of them causes few looks.
const AT_ONCE: usize = 1024;

/// Links on the way to one file: the kernel follows as many.
const LINKS: usize = 40;

/// What happens in a folder when one of its files is another afterwards.
const EVENTS: WatchMask = WatchMask::CLOSE_WRITE
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::ONLYDIR);

/// Watches files.
pub(super) struct Watch {
    /// None where the system has no more of them: then it is looked every few
    /// seconds, and that is all.
    folders: Option<Folders>,
    paths: Vec<PathBuf>,
    seen: Vec<Option<Look>>,
    poll: Duration,
}

/// Folders whose events wake the watcher. What happened does not matter, and an
/// overflow of the kernel's queue is an event, too.
struct Folders {
    events: EventStream<[u8; BUFFER]>,
    watched: BTreeSet<WatchDescriptor>,
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
            folders: start(),
            paths: Vec::new(),
            seen: Vec::new(),
            poll: POLL,
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
            self.event(self.poll).await;
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
    pub(super) async fn event(&mut self, most: Duration) {
        let told = async {
            match &mut self.folders {
                Some(folders) => folders.event().await,
                None => std::future::pending().await,
            }
        };
        // That nothing happened is the usual case.
        let _ = tokio::time::timeout(most, reported).await;
    }

    fn watch_folders(&mut self) {
        if let Some(folders) = &mut self.folders {
            folders.set(self.paths.iter().flat_map(|path| folders_of(path)));
        }
    }
}

impl Folders {
    fn new() -> io::Result<Self> {
        Ok(Self {
            events: Inotify::init()?.into_event_stream([0; BUFFER])?,
            watched: BTreeSet::new(),
        })
    }

    /// Watches these folders and no others. It is called again before each look,
    /// because a folder may have been replaced by another of the same name.
    fn set(&mut self, folders: impl Iterator<Item = PathBuf>) {
        let mut watches = self.events.watches();
        // A folder that is missing or not readable is found changed by looking.
        let watched: BTreeSet<WatchDescriptor> = folders
            .filter_map(|folder| watches.add(folder, EVENTS).ok())
            .collect();
        for old in self.watched.difference(&watched) {
            // Fails if the folder was deleted: the kernel has removed the watch.
            let _ = watches.remove(old.clone());
        }
        self.watched = watched;
    }

    /// Waits for an event, and takes those that there are with it.
    async fn event(&mut self) {
        let mut events = (&mut self.events).ready_chunks(AT_ONCE);
        let failed = match events.next().await {
            Some(events) => events.iter().any(Result::is_err),
            None => true,
        };
        if failed {
            std::future::pending().await
        }
    }
}

fn start() -> Option<Folders> {
    Folders::new()
        .inspect_err(|error| {
            tracing::warn!(
                "changed files are noticed after {POLL:?} only: inotify: {error} (see \
                 fs.inotify.max_user_instances)"
            );
        })
        .ok()
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
        // Only events count here.
        watch.poll = 2 * LONG;
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
    async fn a_folder_that_is_replaced_or_deleted_is_noticed() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        let fill = |name: &str| {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("policy.wasm"), name).expect("written");
        };
        fill("in-use");
        // The folder around the folder of the file is watched for the link only.
        symlink("in-use", at("link")).expect("linked");
        let mut watch = watch(&at("link/policy.wasm")).await;
        fill("new");
        fs::rename(at("in-use"), at("old")).expect("renamed");
        fs::rename(at("new"), at("in-use")).expect("renamed");
        assert!(told(&mut watch).await, "another folder of the same name");
        fs::write(at("in-use/policy.wasm"), "two").expect("written");
        assert!(told(&mut watch).await, "a file in it");
        fs::remove_dir_all(at("in-use")).expect("removed");
        assert!(told(&mut watch).await, "deleted");
        fill("in-use");
        assert!(told(&mut watch).await, "made again");
    }

    #[tokio::test]
    async fn folders_that_are_not_needed_any_more_are_not_watched() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        for name in ["1", "2"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("policy.wasm"), name).expect("written");
        }
        let mut watch = watch(&at("1/policy.wasm")).await;
        let watched = |watch: &Watch| watch.folders.as_ref().expect("inotify").watched.clone();
        let before = watched(&watch);
        watch.set(vec![at("2/policy.wasm")]);
        assert!(told(&mut watch).await, "another file");
        let after = watched(&watch);
        assert_eq!((before.len(), after.len()), (1, 1));
        assert!(before.is_disjoint(&after));
        fs::write(at("1/policy.wasm"), "three").expect("written");
        let folders = watch.folders.as_mut().expect("inotify");
        // That a watch was removed is an event itself.
        folders.event().await;
        let most = Duration::from_millis(50);
        let event = tokio::time::timeout(most, folders.event());
        assert!(event.await.is_err(), "an event of the other folder");
    }

    /// The kernel drops events when its queue is full (`fs.inotify.max_queued_events`).
    #[tokio::test]
    async fn a_change_among_more_events_than_the_kernel_keeps_is_noticed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("policy.wasm");
        fs::write(&path, "one").expect("written");
        let mut watch = watch(&path).await;
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
        let most: usize = most.expect("read").trim().parse().expect("a number");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "").expect("written");
        // Two events each.
        for _ in 0..most.min(1 << 16) / 4 + 1 {
            fs::rename(&a, &b).expect("renamed");
            fs::rename(&b, &a).expect("renamed");
        }
        fs::write(&path, "two").expect("written");
        assert!(told(&mut watch).await, "the change that no event tells of");
        fs::write(&path, "three").expect("written");
        assert!(told(&mut watch).await, "a change afterwards");
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
