//! Writing decisions down, beside the mail and never in its way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use super::entry::Entry;
use super::event::{ByteBudget, OwnedDecisionEvent, QueuedEvent};
use super::segment;
use crate::config::{KeepMessages, Record};
use crate::pipeline::digest_hex;
use waxseal_system::secure_fs::{self, PrivateFileError};

/// Messages that wait to be written, at most.
const QUEUE: usize = 1024;

/// Bytes of messages that wait to be written, at most.
const QUEUE_BYTES: usize = 64 << 20;

/// A recording has about this many segments: so much of it goes when the oldest
/// is deleted.
const SEGMENTS: u64 = 8;

/// How long nothing is tried after a failure to write: a full disk is not asked
/// again for each message.
const PAUSE: Duration = Duration::from_secs(10);

/// How often it is told, at most, that something is not recorded.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why nothing is recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The folder cannot be used.
    #[error("[record] folder: {0}")]
    Folder(#[from] PrivateFileError),
    /// Its content cannot be listed.
    #[error("[record] folder {}: {error}", .path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// There is no thread for it.
    #[error("the thread that records cannot be started: {0}")]
    Thread(io::Error),
}

/// How many decisions were written, and how many not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They stand in the recording.
    pub written: u64,
    /// There was no room in the queue, or the disk failed.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// A recording that is written.
#[derive(Debug)]
pub struct Recording {
    settings: Record,
    queue: Mutex<Option<SyncSender<QueuedEvent>>>,
    room: Arc<ByteBudget>,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recording {
    /// Begins to record; what is in the folder already stays, as far as its
    /// maximum allows.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made, or others may look into it.
    pub fn start(settings: &Record) -> Result<Self, RecordError> {
        let counters = Arc::new(Counters::default());
        let writer = Writer::new(settings, Arc::clone(&counters))?;
        let (queue, waiting) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("waxseal-record".into())
            .spawn(move || writer.run(&waiting))
            .map_err(RecordError::Thread)?;
        Ok(Self {
            settings: settings.clone(),
            queue: Mutex::new(Some(queue)),
            room: ByteBudget::new(QUEUE_BYTES),
            counters,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// What it was started with.
    pub fn settings(&self) -> &Record {
        &self.settings
    }

    /// Hands over a message to write down, which its caller has found to be in
    /// the share that is recorded. Never waits: what finds no room is
    /// dropped and counted.
    pub fn offer(&self, seen: &Arc<OwnedDecisionEvent>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = queue.as_ref().is_some_and(|queue| {
            let waiting = self.room.take(seen);
            waiting.is_some_and(|waiting| queue.try_send(waiting).is_ok())
        });
        if !taken {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many decisions were written so far.
    pub fn counts(&self) -> Counts {
        Counts {
            written: self.counters.written.load(Ordering::Relaxed),
            dropped: self.counters.dropped.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, and ends. Blocking.
    pub fn stop(&self) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(queue);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that records has panicked");
        }
    }
}

/// The side of the thread.
struct Writer {
    settings: Record,
    counters: Arc<Counters>,
    /// Closed segments and what they take on disk, oldest first.
    closed: Vec<(PathBuf, u64)>,
    open: Option<Segment>,
    /// After a failure: when to try again.
    paused: Option<Instant>,
    told: Option<(Instant, u64)>,
}

struct Segment {
    path: PathBuf,
    entries: File,
    lines: u64,
    /// On disk, messages included.
    messages: u64,
}

impl Segment {
    fn size(&self) -> u64 {
        segment::on_disk(self.lines) + self.messages
    }
}

impl Writer {
    fn new(settings: &Record, counters: Arc<Counters>) -> Result<Self, RecordError> {
        secure_fs::folder(&settings.folder)?;
        let failed = |error| RecordError::List {
            path: settings.folder.clone(),
            error,
        };
        let closed = segment::list(&settings.folder).map_err(failed)?;
        Ok(Self {
            settings: settings.clone(),
            counters,
            closed: closed
                .into_iter()
                .map(|path| (path.clone(), segment::size(&path)))
                .collect(),
            open: None,
            paused: None,
            told: None,
        })
    }

    fn run(mut self, waiting: &Receiver<QueuedEvent>) {
        while let Ok(next) = waiting.recv() {
            self.take(&next.seen, Instant::now());
        }
        self.tell_dropped(None);
    }

    fn take(&mut self, seen: &OwnedDecisionEvent, now: Instant) {
        if self.paused.is_some_and(|until| now < until) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            self.paused = None;
            match self.write(seen) {
                Ok(()) => drop(self.counters.written.fetch_add(1, Ordering::Relaxed)),
                Err(error) => self.failed(&error, now),
            }
        }
        self.tell_dropped(Some(now));
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        self.paused = Some(now + PAUSE);
        // Its last line may be torn: what comes next begins another segment.
        self.close();
        let folder = self.settings.folder.display();
        tracing::error!(
            "decisions cannot be recorded in {folder}: {error}; mail goes on without, and it is tried again in {PAUSE:?}"
        );
    }

    /// Tells now and then, and at the end, how many were dropped.
    fn tell_dropped(&mut self, now: Option<Instant>) {
        let dropped = self.counters.dropped.load(Ordering::Relaxed);
        let (at, before) = self
            .told
            .map_or((None, 0), |(at, before)| (Some(at), before));
        let recently = match (at, now) {
            (Some(at), Some(now)) => now.saturating_duration_since(at) < TELL_EVERY,
            _ => false,
        };
        if dropped > before && !recently {
            tracing::warn!(
                dropped,
                "decisions were not recorded: the disk is too slow or cannot be written"
            );
            self.told = now.map(|now| (now, dropped));
        }
    }

    fn write(&mut self, seen: &OwnedDecisionEvent) -> io::Result<()> {
        let bytes = seen.message.content.bytes();
        let sha256 = digest_hex(bytes);
        let keep = self.settings.messages == KeepMessages::Whole
            // One that would push out all others is not kept.
            && bytes.len() as u64 <= self.settings.maximum / SEGMENTS;
        let mut line = serde_json::to_vec(&Entry::of(seen, sha256.clone(), keep))?;
        line.push(b'\n');
        let message = if keep {
            segment::on_disk(bytes.len() as u64)
        } else {
            0
        };
        self.make_room(segment::on_disk(line.len() as u64) + message)?;
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => self.open.insert(begin(&self.settings.folder)?),
        };
        if keep && create(&segment.path.join(segment::message_file(&sha256)), bytes)? {
            segment.messages += message;
        }
        segment.entries.write_all(&line)?;
        segment.lines += line.len() as u64;
        Ok(())
    }

    /// Closes a segment that is full, and deletes the oldest until there is room
    /// for what comes.
    fn make_room(&mut self, coming: u64) -> io::Result<()> {
        let maximum = self.settings.maximum;
        let open = self.open.as_ref().map_or(0, Segment::size);
        if open > 0 && open + coming > maximum / SEGMENTS {
            self.close();
        }
        let open = self.open.as_ref().map_or(0, Segment::size);
        let mut all = open + self.closed.iter().map(|(_, size)| size).sum::<u64>();
        while all + coming > maximum && !self.closed.is_empty() {
            let (path, size) = self.closed.remove(0);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.closed.insert(0, (path, size));
                    return Err(error);
                }
                _ => all -= size,
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(segment) = self.open.take() {
            let size = segment.size();
            self.closed.push((segment.path, size));
        }
    }
}

fn begin(folder: &Path) -> io::Result<Segment> {
    let now = Timestamp::now();
    let mut attempt = 0;
    let path = loop {
        let path = folder.join(segment::name(now, attempt));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => break path,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    };
    let entries = new_file(&path.join(segment::ENTRIES))?;
    Ok(Segment {
        path,
        entries,
        lines: 0,
        messages: 0,
    })
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes a message unless it is there; tells whether it was not. A crash may
/// leave one half written: who reads it checks its digest.
fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match new_file(path) {
        Ok(mut file) => {
            file.write_all(bytes)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
