//! What the manager writes down, so that a restart is no change.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::manager::PolicyManager;
use super::snapshots::{InputFiles, Pin, PinReason, SnapshotError};
use crate::pipeline::InputDigests;

impl PolicyManager {
    /// Writes down what a restart has to know.
    pub(super) async fn settle(
        self: &Arc<Self>,
        because: PinReason,
        taken: Option<InputFiles>,
        now: Timestamp,
    ) {
        let manager = Arc::clone(self);
        let write = move || manager.write_down(because, taken.as_ref(), now);
        let settled = tokio::task::spawn_blocking(write).await;
        let settled = settled.unwrap_or_else(|error| {
            tracing::error!("writing down which policy is in service: {error}");
            Ok(())
        });
        if let Err(error) = settled {
            tracing::error!("a restart will not know that this policy was in service: {error}");
        }
    }

    fn write_down(
        &self,
        because: PinReason,
        taken: Option<&InputFiles>,
        now: Timestamp,
    ) -> Result<(), SnapshotError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.versions.in_service();
        let inputs = version.snapshot().inputs();
        let kept = self.now_kept(inputs, because, now);
        let put = self.snapshots.put(inputs, taken);
        // A note without its copies would be of no use.
        let noted = self
            .snapshots
            .set_pin(kept.as_ref().filter(|_| put.is_ok()));
        // Told from now on: who reads it may rely on it over a restart.
        self.known().kept = kept;
        noted?;
        let before = self.versions.kept();
        let needed: Vec<InputDigests> = std::iter::once(&version)
            .chain(&before)
            .map(|version| version.snapshot().inputs().clone())
            .collect();
        self.snapshots.gc(&needed);
        put
    }

    /// What is in service in place of what the files say, if it is not the same.
    fn now_kept(&self, inputs: &InputDigests, because: PinReason, now: Timestamp) -> Option<Pin> {
        let known = self.known();
        if known.seen.as_ref() == Some(inputs) {
            return None;
        }
        // What has been so for a while keeps its reason.
        let same = |kept: &&Pin| kept.instead_of == known.seen && kept.inputs == *inputs;
        let old = known.kept.as_ref().filter(same);
        Some(old.cloned().unwrap_or_else(|| Pin {
            instead_of: known.seen.clone(),
            inputs: inputs.clone(),
            because,
            since: now,
        }))
    }
}
