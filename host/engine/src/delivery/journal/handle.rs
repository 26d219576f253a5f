//! The journal of this process.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::oneshot;

use super::claim::{Claim, Claimed};
use super::claims::{Claims, Known};
use super::taken::{Interrupted, Taken};
use super::writer::{Command, Shared, Writer};
use crate::state::{DeliveryKey, Epoch, JournalChange, JournalEntry, JournalStore, StateError};

/// Settings of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// How long entries are kept that nobody releases. Longer than the MTA keeps a
    /// message: Postfix's `maximal_queue_lifetime` is 5 days.
    pub retention: SignedDuration,
    /// How long a relay is getting a message before that is written, so that it is known
    /// if the process is killed. Most deliveries are quicker, and cost one write
    /// instead of two.
    pub in_flight_after: Duration,
}

/// Six days, and a second.
impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            retention: SignedDuration::from_hours(6 * 24),
            in_flight_after: Duration::from_secs(1),
        }
    }
}

/// The journal of this process. See the [module](super).
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    store: Option<Arc<dyn JournalStore>>,
    warned: AtomicBool,
}

impl Journal {
    /// A journal over a store. Deliveries that an earlier process left in flight are
    /// reported as interrupted.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn open(store: Arc<dyn JournalStore>, settings: JournalSettings) -> io::Result<Self> {
        let (commands, received) = mpsc::channel();
        let shared = Arc::new(Shared {
            claims: Claims::default(),
            epoch: Epoch(rand::random()),
            commands: Some(commands),
        });
        let writer = Writer {
            store: store.clone(),
            shared: Arc::downgrade(&shared),
            retention: settings.retention,
            in_flight_after: settings.in_flight_after,
            later: Vec::new(),
            later_since: None,
            now: None,
            pruned_at: None,
            warned_at: None,
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.serve(&received))?;
        Ok(Self {
            shared,
            store: Some(store),
            warned: AtomicBool::new(false),
        })
    }

    /// A journal in memory: it protects until the process ends.
    pub fn in_memory() -> Self {
        Self {
            shared: Arc::new(Shared {
                claims: Claims::default(),
                epoch: Epoch(0),
                commands: None,
            }),
            store: None,
            warned: AtomicBool::new(false),
        }
    }

    /// Asks what to do for each recipient, in their order.
    pub async fn claim(&self, keys: &[DeliveryKey]) -> Vec<Claimed> {
        // Claimed before the store is read: a second attempt sees it at once. Dropping
        // the future drops the claims.
        let mut claimed: Vec<Claimed> = keys
            .iter()
            .map(|key| match self.shared.claims.claim(*key) {
                Known::Nothing => Claimed::Deliver(Claim::new(&self.shared, *key)),
                Known::Busy => Claimed::Busy,
                Known::Taken(taken) => Claimed::Taken(taken),
            })
            .collect();
        let new: Vec<DeliveryKey> = claimed.iter().filter_map(key_of).collect();
        let mut found = self.read(new).await.into_iter();
        for claimed in &mut claimed {
            let Claimed::Deliver(claim) = claimed else {
                continue;
            };
            match found.next().flatten() {
                Some(JournalEntry::Taken { relay, reply, at }) => {
                    *claimed = Claimed::Taken(Taken { relay, reply, at });
                }
                // One of this process is a leftover that is being deleted.
                Some(JournalEntry::InFlight { epoch, relay, at }) if epoch != self.shared.epoch => {
                    claim.set_interrupted(Interrupted { relay, at });
                }
                _ => {}
            }
        }
        claimed
    }

    /// Records that relays took messages. Returns when that is durable, or when it is
    /// known that it cannot be. The value says which; mail goes on in both cases.
    pub async fn record(&self, taken: Vec<(Claim, Taken)>) -> bool {
        let entries: Vec<(DeliveryKey, JournalEntry)> = taken
            .into_iter()
            .map(|(claim, taken)| (claim.take(taken.clone()), taken.into()))
            .collect();
        let Some(commands) = &self.shared.commands else {
            return false;
        };
        let (reply, answer) = oneshot::channel();
        if commands.send(Command::Record { entries, reply }).is_err() {
            return false;
        }
        // No answer: the writer has ended.
        answer.await.unwrap_or(false)
    }

    /// Deletes entries: the MTA has read the answers and does not ask again. They are
    /// deleted when there is something else to write.
    pub fn release(&self, keys: Vec<DeliveryKey>) {
        self.shared.claims.forget_taken(keys.iter().copied());
        let release = keys.into_iter().map(JournalChange::Release);
        self.shared.change_later(release.collect());
    }

    #[cfg(test)]
    pub(super) fn claims_taken(&self) -> usize {
        self.shared.claims.count_taken()
    }

    /// The number of deliveries in memory: in flight, or not written.
    pub fn in_memory_count(&self) -> usize {
        self.shared.claims.count()
    }

    /// Writes what is to be written, and ends. Claims that exist stay valid; what is
    /// recorded afterwards is not durable.
    pub async fn close(&self) {
        if let Some(commands) = &self.shared.commands {
            let (reply, answer) = oneshot::channel();
            if commands.send(Command::Close(reply)).is_ok() {
                // No answer: another call closed it first.
                let _ = answer.await;
            }
        }
    }

    async fn read(&self, keys: Vec<DeliveryKey>) -> Vec<Option<JournalEntry>> {
        let Some(store) = self.store.clone().filter(|_| !keys.is_empty()) else {
            return Vec::new();
        };
        let read = tokio::task::spawn_blocking(move || store.read(&keys));
        match read.await {
            Ok(Ok(entries)) => {
                self.warned.store(false, Ordering::Relaxed);
                entries
            }
            Ok(Err(error)) => {
                self.warn(&error);
                Vec::new()
            }
            // The runtime is shutting down.
            Err(_) => Vec::new(),
        }
    }

    /// Logs that the store cannot be read, once until it can be.
    fn warn(&self, error: &StateError) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "cannot read the journal of deliveries: mail is delivered, and messages may be sent twice"
            );
        }
    }
}

fn key_of(claimed: &Claimed) -> Option<DeliveryKey> {
    match claimed {
        Claimed::Deliver(claim) => Some(claim.key()),
        Claimed::Busy | Claimed::Taken(_) => None,
    }
}
