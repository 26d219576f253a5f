//! The thread that writes the journal.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use super::claims::Claims;
use crate::state::{DeliveryKey, Epoch, JournalChange, JournalEntry, JournalStore, StateError};

/// Interval at which the thread looks for deliveries that take long.
const TICK: Duration = Duration::from_millis(500);

/// Longest time that a release waits for entries to be written with. What is not
/// released because of a crash expires.
const LATER: Duration = Duration::from_secs(10);

/// Most changes of one transaction.
const BATCH: usize = 1000;

/// Interval of pruning, and how many entries are pruned at once: some milliseconds.
const PRUNE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
const PRUNED: usize = 500;

/// Interval of log lines about a store that does not work.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What a journal and its claims share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) claims: Claims,
    pub(super) epoch: Epoch,
    /// `None` without a store.
    pub(super) commands: Option<Sender<Command>>,
}

/// A command to the writer.
#[derive(Debug)]
pub(super) enum Command {
    /// Write what was taken, and answer whether it is durable.
    Record {
        entries: Vec<(DeliveryKey, JournalEntry)>,
        reply: oneshot::Sender<bool>,
    },
    /// Make these changes at some time.
    Later(Vec<JournalChange>),
    /// Write everything and stop.
    Close(oneshot::Sender<()>),
}

impl Shared {
    /// Makes changes at some time: with the next entries that are written.
    pub(super) fn change_later(&self, changes: Vec<JournalChange>) {
        if let Some(commands) = &self.commands {
            // The thread has ended: entries expire.
            let _ = commands.send(Command::Later(changes));
        }
    }
}

pub(super) struct Writer {
    pub(super) store: Arc<dyn JournalStore>,
    pub(super) shared: std::sync::Weak<Shared>,
    pub(super) retention: SignedDuration,
    /// How long a delivery is in flight before that is written.
    pub(super) in_flight_after: Duration,
    pub(super) later: Vec<JournalChange>,
    pub(super) later_since: Option<Instant>,
    /// The time of the last entry: time is passed in.
    pub(super) now: Option<Timestamp>,
    pub(super) pruned_at: Option<Timestamp>,
    pub(super) warned_at: Option<Instant>,
}

/// Records of one batch.
#[derive(Default)]
struct Batch {
    changes: Vec<JournalChange>,
    taken: Vec<DeliveryKey>,
    waiting: Vec<oneshot::Sender<bool>>,
    close: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until the journal is closed or dropped.
    pub(super) fn serve(mut self, commands: &Receiver<Command>) {
        loop {
            let mut batch = Batch::default();
            match commands.recv_timeout(TICK) {
                Ok(command) => self.collect(command, &mut batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // What came while the last batch was written is written together.
            while batch.changes.len() < BATCH && batch.close.is_none() {
                let Ok(command) = commands.try_recv() else {
                    break;
                };
                self.collect(command, &mut batch);
            }
            let closed = self.write(batch);
            if closed {
                return;
            }
            self.prune_if_due();
        }
    }

    fn collect(&mut self, command: Command, batch: &mut Batch) {
        match command {
            Command::Record { entries, reply } => {
                for (key, entry) in entries {
                    self.now = Some(entry.at());
                    batch.taken.push(key);
                    batch.changes.push(JournalChange::Set(key, entry));
                }
                batch.waiting.push(reply);
            }
            Command::Later(changes) => {
                self.later_since.get_or_insert_with(Instant::now);
                self.later.extend(changes);
            }
            Command::Close(reply) => batch.close = Some(reply),
        }
    }

    /// Writes a batch, with what else is to be written. Returns whether the journal
    /// is closed.
    fn write(&mut self, mut batch: Batch) -> bool {
        let shared = self.shared.upgrade();
        if let Some(shared) = &shared {
            let unwritten = shared.claims.take_unwritten(self.in_flight_after);
            for (key, relay, at) in unwritten {
                let epoch = shared.epoch;
                let entry = JournalEntry::InFlight { epoch, relay, at };
                batch.changes.push(JournalChange::Set(key, entry));
            }
        }
        let overdue = self
            .later_since
            .is_some_and(|since| since.elapsed() >= LATER);
        if !batch.changes.is_empty() || overdue || batch.close.is_some() {
            self.later_since = None;
            // They came before the entries of this batch.
            batch.changes.splice(0..0, self.later.drain(..));
        }
        let durable = match self.store.apply(&batch.changes) {
            Ok(()) => true,
            Err(error) => {
                self.warn(&error);
                false
            }
        };
        if durable && let Some(shared) = &shared {
            shared.claims.forget_taken(batch.taken);
        }
        for reply in batch.waiting {
            // The caller may be gone.
            let _ = reply.send(durable);
        }
        let Some(reply) = batch.close else {
            return false;
        };
        let _ = reply.send(());
        true
    }

    fn prune_if_due(&mut self) {
        let Some(now) = self.now else { return };
        let since = self.pruned_at.map(|at| now.duration_since(at).abs());
        if since.is_some_and(|since| since < PRUNE_INTERVAL) {
            return;
        }
        self.pruned_at = Some(now);
        let before = now.saturating_sub(self.retention).unwrap_or(Timestamp::MIN);
        if let Err(error) = self.store.prune(before, PRUNED) {
            self.warn(&error);
        }
    }

    fn warn(&mut self, error: &StateError) {
        if self
            .warned_at
            .is_some_and(|at| at.elapsed() < WARN_INTERVAL)
        {
            return;
        }
        self.warned_at = Some(Instant::now());
        tracing::warn!(
            %error,
            "cannot write the journal of deliveries: mail is delivered; if waxseal is restarted now, messages in \
             delivery may be sent twice"
        );
    }
}
