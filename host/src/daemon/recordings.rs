//! The recording that `waxseal.toml` asks for, begun and ended as what is in
//! service changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Record;
use crate::quota::Ledger;
use crate::record::Recording;
use crate::service::{Observer, Service};

/// How long a stop waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the right recording going.
pub(super) struct Recordings<L> {
    service: Arc<Service<L>>,
    current: Mutex<Option<Current>>,
}

struct Current {
    recording: Arc<Recording>,
    observer: Arc<dyn Observer>,
}

impl<L: Ledger> Recordings<L> {
    /// Begins what the version in service asks for.
    pub(super) async fn begin(service: Arc<Service<L>>) -> Arc<Self> {
        let recordings = Arc::new(Self {
            service,
            current: Mutex::default(),
        });
        recordings.adjust().await;
        recordings
    }

    /// Follows the versions in service, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut changes = self.service.versions().changes();
        while changes.changed().await.is_ok() {
            self.adjust().await;
        }
    }

    /// Ends the recording; what waits is written first.
    pub(super) async fn end(self: Arc<Self>) {
        let ending = tokio::task::spawn_blocking(move || self.change(None));
        if tokio::time::timeout(PATIENCE, ending).await.is_err() {
            tracing::error!("the recording could not be ended in {PATIENCE:?}: some is lost");
        }
    }

    async fn adjust(self: &Arc<Self>) {
        let recordings = Arc::clone(self);
        let adjusting = tokio::task::spawn_blocking(move || {
            let version = recordings.service.begin();
            recordings.change(version.generation().config().record.as_ref());
        });
        if let Err(error) = adjusting.await {
            tracing::error!("the recording: {error}");
        }
    }

    fn change(&self, wanted: Option<&Record>) {
        let mut current = self.current();
        if current.as_ref().map(|current| current.recording.settings()) == wanted {
            return;
        }
        if let Some(old) = current.take() {
            self.service.forget(&old.observer);
            old.recording.stop();
            let counts = old.recording.counts();
            tracing::info!(
                written = counts.written,
                dropped = counts.dropped,
                "no longer recording decisions in {}",
                old.recording.settings().folder.display()
            );
        }
        let Some(wanted) = wanted else {
            return;
        };
        match Recording::start(wanted) {
            Ok(recording) => {
                let recording = Arc::new(recording);
                let observer: Arc<dyn Observer> = Arc::clone(&recording) as _;
                self.service.observe(Arc::clone(&observer));
                tracing::info!("recording decisions in {}", wanted.folder.display());
                *current = Some(Current {
                    recording,
                    observer,
                });
            }
            // Mail does not wait for a recording.
            Err(error) => tracing::error!("no decisions are recorded: {error}"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
