//! Writer of recordings, on a thread of its own.

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
use super::segment;
use crate::comparison::{ByteBudget, OwnedDecisionEvent, QueuedEvent};
use crate::config::{MessageStorage, Record};
use crate::pipeline::digest_hex;
use waxseal_system::secure_fs::{self, PrivateFileError};

/// Maximum number of queued messages.
const QUEUE: usize = 1024;

/// Maximum bytes of queued messages.
const QUEUE_BYTES: usize = 64 << 20;

/// Approximate number of segments of a recording: the fraction of it that is deleted at once.
const SEGMENTS: u64 = 8;

/// Pause after a failed write: a full disk is not written to for each message.
const PAUSE: Duration = Duration::from_secs(10);

/// Minimum interval between log lines about dropped entries.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Why recording cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The folder cannot be used.
    #[error("[record] folder: {0}")]
    Folder(#[from] PrivateFileError),
    /// Its contents cannot be listed.
    #[error("[record] folder {}: {error}", .path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start the recording thread: {0}")]
    Thread(io::Error),
}

/// Numbers of written and dropped decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decisions in the recording.
    pub written: u64,
    /// Decisions that did not fit into the queue, or could not be written.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// A recording in progress.
#[derive(Debug)]
pub struct Recording {
    settings: Record,
    queue: Mutex<Option<SyncSender<QueuedEvent>>>,
    room: Arc<ByteBudget>,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recording {
    /// Starts a recording. Existing segments in the folder are retained, up to its maximum.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created, or others can access it.
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

    /// Its settings.
    pub fn settings(&self) -> &Record {
        &self.settings
    }

    /// Queues a message that the caller has selected for the recording. Never waits: if the queue is full, the message is
    /// dropped and counted.
    pub fn offer(&self, event: &Arc<OwnedDecisionEvent>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = queue.as_ref().is_some_and(|queue| {
            let waiting = self.room.take(event);
            waiting.is_some_and(|waiting| queue.try_send(waiting).is_ok())
        });
        if !taken {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Number of written and dropped decisions so far.
    pub fn counts(&self) -> Counts {
        Counts {
            written: self.counters.written.load(Ordering::Relaxed),
            dropped: self.counters.dropped.load(Ordering::Relaxed),
        }
    }

    /// Writes queued entries, and stops. Blocks.
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
            tracing::error!("the recording thread panicked");
        }
    }
}

/// State of the thread.
struct Writer {
    settings: Record,
    counters: Arc<Counters>,
    /// Closed segments and their bytes on disk, oldest first.
    closed: Vec<(PathBuf, u64)>,
    open: Option<Segment>,
    /// After a failure: time of the next attempt.
    paused: Option<Instant>,
    last_report: Option<(Instant, u64)>,
}

struct Segment {
    path: PathBuf,
    entries: File,
    lines: u64,
    /// Bytes on disk, including messages.
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
            last_report: None,
        })
    }

    fn run(mut self, waiting: &Receiver<QueuedEvent>) {
        while let Ok(next) = waiting.recv() {
            self.take(&next.event, Instant::now());
        }
        self.log_dropped(None);
    }

    fn take(&mut self, event: &OwnedDecisionEvent, now: Instant) {
        if self.paused.is_some_and(|until| now < until) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            self.paused = None;
            match self.write(event) {
                Ok(()) => drop(self.counters.written.fetch_add(1, Ordering::Relaxed)),
                Err(error) => self.failed(&error, now),
            }
        }
        self.log_dropped(Some(now));
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        self.paused = Some(now + PAUSE);
        // Its last line may be incomplete: the next entry starts another segment.
        self.close();
        let folder = self.settings.folder.display();
        tracing::error!(
            "cannot record decisions in {folder}: {error}; mail is not affected; retrying in {PAUSE:?}"
        );
    }

    /// Logs the number of dropped decisions, at intervals and at the end.
    fn log_dropped(&mut self, now: Option<Instant>) {
        let dropped = self.counters.dropped.load(Ordering::Relaxed);
        let (at, before) = self
            .last_report
            .map_or((None, 0), |(at, before)| (Some(at), before));
        let recently = match (at, now) {
            (Some(at), Some(now)) => now.saturating_duration_since(at) < LOG_INTERVAL,
            _ => false,
        };
        if dropped > before && !recently {
            tracing::warn!(
                dropped,
                "decisions were not recorded: the disk is too slow or cannot be written"
            );
            self.last_report = now.map(|now| (now, dropped));
        }
    }

    fn write(&mut self, event: &OwnedDecisionEvent) -> io::Result<()> {
        let bytes = event.message.content.bytes();
        let sha256 = digest_hex(bytes);
        let keep = self.settings.messages == MessageStorage::Full
            // A message that would displace all others is not stored.
            && bytes.len() as u64 <= self.settings.maximum / SEGMENTS;
        let mut line = serde_json::to_vec(&Entry::of(event, sha256.clone(), keep))?;
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

    /// Closes a full segment, and deletes the oldest ones until there is room.
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

/// Writes a message unless it exists; returns whether it was written. A crash may leave a partial file: readers verify its
/// digest.
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
