//! A watcher of files.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use inotify::{EventStream, Inotify, StreamExt as _, WatchDescriptor, WatchMask};

use super::folders::folders_of;
use super::stamp::{Stamps, stamps};

/// How often files are checked if there are no events.
const POLL: Duration = Duration::from_secs(3);

/// How long files must stay unchanged before they count as written. Longer than the kernel's clock of file
/// times ticks (10 ms at most), so that a later write changes the stamp.
const SETTLE: Duration = Duration::from_millis(15);

/// Largest number of such checks for files that keep changing: two seconds.
const SETTLES: usize = 133;

/// Bytes of events that are read at once. One with the longest name has 272.
const BUFFER: usize = 4096;

/// Events that are taken at once, so that a burst of them causes few checks.
const AT_ONCE: usize = 1024;

/// The events in a folder that can change one of its files.
const EVENTS: WatchMask = WatchMask::CLOSE_WRITE
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::ONLYDIR);

/// A watcher of files. It reports that files may have changed, but not which ones.
#[derive(Debug)]
pub struct FileWatch {
    /// `None` if the system refuses an inotify instance: then the files are only
    /// polled.
    folders: Option<Folders>,
    paths: Vec<PathBuf>,
    seen: Stamps,
    poll: Duration,
}

/// Folders whose events wake the watcher. The kind of event does not matter, and an
/// overflow of the kernel's queue is an event, too.
#[derive(Debug)]
struct Folders {
    events: EventStream<[u8; BUFFER]>,
    watched: BTreeSet<WatchDescriptor>,
}

impl FileWatch {
    /// Creates a watcher of no files. If the system refuses an inotify instance, this
    /// is logged, and files are only polled.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O.
    #[expect(clippy::new_without_default, reason = "it panics outside a runtime")]
    pub fn new() -> Self {
        Self {
            folders: start(),
            paths: Vec::new(),
            seen: Stamps::new(),
            poll: POLL,
        }
    }

    /// Sets the files to watch. If they are not the ones that were watched, they count
    /// as changed.
    pub fn set_paths(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            self.seen.clear();
            self.paths = paths;
        }
    }

    /// Waits until the files may have changed since this last returned, and then
    /// until they stay unchanged for a moment, because they may still be written.
    pub async fn changed(&mut self) {
        loop {
            // Before the check, so that a change in between causes an event.
            self.watch_folders();
            let now = stamps(&self.paths);
            if now != self.seen {
                self.seen = self.settled(now).await;
                return;
            }
            self.event(self.poll).await;
        }
    }

    /// Waits for an event in one of the folders, at most for this time.
    pub async fn event(&mut self, most: Duration) {
        let event = async {
            match &mut self.folders {
                Some(folders) => folders.event().await,
                None => std::future::pending().await,
            }
        };
        // No event is the usual case.
        let _ = tokio::time::timeout(most, event).await;
    }

    async fn settled(&self, mut stamps_before: Stamps) -> Stamps {
        for _ in 0..SETTLES {
            tokio::time::sleep(SETTLE).await;
            let now = stamps(&self.paths);
            if now == stamps_before {
                break;
            }
            stamps_before = now;
        }
        stamps_before
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

    /// Watches these folders and no others. It is called again before each check,
    /// because a folder may have been replaced by another of the same name.
    fn set(&mut self, folders: impl Iterator<Item = PathBuf>) {
        let mut watches = self.events.watches();
        // If a folder is missing or not readable, polling detects a change.
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
                "cannot watch files by inotify: {error}; changes are noticed after {POLL:?}; check \
                 fs.inotify.max_user_instances"
            );
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Far more than any of this takes; only a test that fails waits for it.
    const LONG: Duration = Duration::from_secs(20);

    async fn noticed(watch: &mut FileWatch) -> bool {
        tokio::time::timeout(LONG, watch.changed()).await.is_ok()
    }

    async fn watch(path: &Path) -> FileWatch {
        let mut watch = FileWatch::new();
        // Only events count here.
        watch.poll = 2 * LONG;
        watch.set_paths(vec![path.to_owned()]);
        assert!(noticed(&mut watch).await, "new files count as changed");
        watch
    }

    #[tokio::test]
    async fn every_way_to_change_a_file_is_noticed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("policy.wasm");
        fs::write(&path, "one").expect("written");
        let mut watch = watch(&path).await;
        fs::write(&path, "two").expect("written");
        assert!(noticed(&mut watch).await, "written in place");
        fs::write(folder.path().join("new"), "two").expect("written");
        fs::rename(folder.path().join("new"), &path).expect("renamed");
        assert!(noticed(&mut watch).await, "another in its place");
        fs::remove_file(&path).expect("removed");
        assert!(noticed(&mut watch).await, "removed");
        fs::write(&path, "two").expect("written");
        assert!(noticed(&mut watch).await, "made again");
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
        assert!(noticed(&mut watch).await, "the link in the middle");
        fs::write(at("2").join("policy.wasm"), "three").expect("written");
        assert!(noticed(&mut watch).await, "the file at the end");
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
        assert!(noticed(&mut watch).await, "another folder of the same name");
        fs::write(at("in-use/policy.wasm"), "two").expect("written");
        assert!(noticed(&mut watch).await, "a file in it");
        fs::remove_dir_all(at("in-use")).expect("removed");
        assert!(noticed(&mut watch).await, "deleted");
        fill("in-use");
        assert!(noticed(&mut watch).await, "made again");
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
        let watched = |watch: &FileWatch| watch.folders.as_ref().expect("inotify").watched.clone();
        let before = watched(&watch);
        watch.set_paths(vec![at("2/policy.wasm")]);
        assert!(noticed(&mut watch).await, "another file");
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
        assert!(
            noticed(&mut watch).await,
            "the change whose event was dropped"
        );
        fs::write(&path, "three").expect("written");
        assert!(noticed(&mut watch).await, "a change afterwards");
    }
}
