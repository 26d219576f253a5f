//! The recording that `waxseal.toml` configures, started and stopped as the active version
//! changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PolicyService;
use super::observe::{DecisionEvent, Observer, Subscription};
use super::version_history::VersionHistory;
use crate::config::Record;
use crate::record::Recording;

/// Time that a stop waits for queued entries.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the configured recording.
pub struct Recordings {
    versions: Arc<VersionHistory>,
    service: Arc<PolicyService>,
    current: Mutex<Option<Current>>,
}

struct Current {
    recording: Arc<Recording>,
    subscription: Subscription,
}

/// Status of the recording in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordingStatus {
    /// Its folder.
    pub folder: PathBuf,
    /// The share of messages that is recorded, such as `10%`.
    pub share: String,
    /// Decisions written since its start.
    pub written: u64,
    /// Decisions that did not fit into the queue or could not be written.
    pub dropped: u64,
}

impl Recordings {
    /// Starts the recording of the active version's configuration.
    pub async fn begin(service: Arc<PolicyService>) -> Arc<Self> {
        let recordings = Arc::new(Self {
            versions: Arc::clone(service.versions()),
            service,
            current: Mutex::default(),
        });
        recordings.adjust().await;
        recordings
    }

    /// Follows the active version, forever.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.versions.changes();
        while changes.changed().await.is_ok() {
            self.adjust().await;
        }
    }

    /// Stops the recording; queued entries are written first.
    pub async fn end(self: Arc<Self>) {
        let ending = tokio::task::spawn_blocking(move || self.change(None));
        if tokio::time::timeout(PATIENCE, ending).await.is_err() {
            tracing::error!(
                "the recording did not stop within {PATIENCE:?}; queued entries are lost"
            );
        }
    }

    /// Status of the recording in progress, if any.
    pub fn status(&self) -> Option<RecordingStatus> {
        let current = self.current();
        let recording = &current.as_ref()?.recording;
        let (settings, counts) = (recording.settings(), recording.counts());
        Some(RecordingStatus {
            folder: settings.folder.clone(),
            share: settings.share.to_string(),
            written: counts.written,
            dropped: counts.dropped,
        })
    }

    async fn adjust(self: &Arc<Self>) {
        let recordings = Arc::clone(self);
        let adjusting = tokio::task::spawn_blocking(move || {
            let version = recordings.versions.active();
            recordings.change(version.snapshot().config().record.as_ref());
        });
        if let Err(error) = adjusting.await {
            tracing::error!("cannot start or stop the recording: {error}");
        }
    }

    fn change(&self, wanted: Option<&Record>) {
        let mut current = self.current();
        if current.as_ref().map(|current| current.recording.settings()) == wanted {
            return;
        }
        if let Some(Current {
            recording: old,
            subscription,
        }) = current.take()
        {
            drop(subscription);
            old.stop();
            let counts = old.counts();
            tracing::info!(
                written = counts.written,
                dropped = counts.dropped,
                "stopped recording decisions in {}",
                old.settings().folder.display()
            );
        }
        let Some(wanted) = wanted else {
            return;
        };
        match Recording::start(wanted) {
            Ok(recording) => {
                let recording = Arc::new(recording);
                let subscription = self.service.observe(recording.clone());
                tracing::info!("recording decisions in {}", wanted.folder.display());
                *current = Some(Current {
                    recording,
                    subscription,
                });
            }
            // Mail does not depend on the recording.
            Err(error) => tracing::error!("cannot record decisions: {error}"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recordings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recordings")
            .field("current", &self.status())
            .finish_non_exhaustive()
    }
}

impl Observer for Recording {
    fn decided(&self, event: &DecisionEvent<'_>) {
        let result = event.outcome.result.as_ref();
        // Bytes that are not recorded are not copied either.
        if result.is_some_and(|result| self.settings().share.takes(result.seed.as_bytes()))
            && let Some(event) = event.capture()
        {
            self.offer(&Arc::new(event));
        }
    }
}
