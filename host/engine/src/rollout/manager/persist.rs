//! Writing what must survive a restart: the pin and copies of the files.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::pipeline::InputDigests;
use crate::rollout::snapshots::{InputFiles, Pin, SnapshotError, SnapshotStore};
use crate::rollout::version_history::VersionHistory;

/// Files to copy, and what to do afterwards.
pub(super) struct Write<T> {
    /// Digests of the files of the active version.
    pub(super) inputs: InputDigests,
    /// The pin; `None` to remove it.
    pub(super) pin: Option<Pin>,
    /// Content of the files; `None` if there are copies already.
    pub(super) contents: Option<InputFiles>,
    pub(super) then: T,
}

/// Writes in order, one at a time, on threads that may block.
pub(super) struct Writer<T> {
    snapshots: Arc<SnapshotStore>,
    versions: Arc<VersionHistory>,
    waiting: VecDeque<Write<T>>,
    running: JoinSet<()>,
    current: Option<(Option<Pin>, T)>,
}

impl<T> Writer<T> {
    pub(super) fn new(snapshots: Arc<SnapshotStore>, versions: Arc<VersionHistory>) -> Self {
        Self {
            snapshots,
            versions,
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            current: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none()
    }

    pub(super) fn push(&mut self, write: Write<T>) {
        self.waiting.push_back(write);
        self.start();
    }

    fn start(&mut self) {
        if self.current.is_some() {
            return;
        }
        let Some(write) = self.waiting.pop_front() else {
            return;
        };
        let snapshots = Arc::clone(&self.snapshots);
        let versions = Arc::clone(&self.versions);
        let (inputs, pin, contents) = (write.inputs, write.pin.clone(), write.contents);
        self.running.spawn_blocking(move || {
            persist_logged(&snapshots, &versions, &inputs, pin.as_ref(), contents)
        });
        self.current = Some((write.pin, write.then));
    }

    /// Waits for the current write and starts the next one; waits forever if
    /// there is none. Returns the pin that is written now. Cancel safe.
    pub(super) async fn next(&mut self) -> (Option<Pin>, T) {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!("cannot persist the active policy: {error}"),
        }
        let Some(done) = self.current.take() else {
            return std::future::pending().await;
        };
        self.start();
        done
    }
}

/// Writes, and logs a failure: the active version is not affected by it.
pub(super) fn persist_logged(
    snapshots: &SnapshotStore,
    versions: &VersionHistory,
    inputs: &InputDigests,
    pin: Option<&Pin>,
    contents: Option<InputFiles>,
) {
    if let Err(error) = persist(snapshots, versions, inputs, pin, contents) {
        tracing::error!(
            "cannot persist the active policy; a restart loads the configured files instead: \
             {error}"
        );
    }
}

fn persist(
    snapshots: &SnapshotStore,
    versions: &VersionHistory,
    inputs: &InputDigests,
    pin: Option<&Pin>,
    contents: Option<InputFiles>,
) -> Result<(), SnapshotError> {
    let copied = snapshots.put(inputs, contents.as_ref());
    // A pin without copies of its files is useless.
    snapshots.set_pin(pin.filter(|_| copied.is_ok()))?;
    let retained = versions.retained();
    let needed: Vec<InputDigests> = retained
        .iter()
        .map(|version| version.snapshot().inputs().clone())
        .chain([
            inputs.clone(),
            versions.active().snapshot().inputs().clone(),
        ])
        .collect();
    snapshots.gc(&needed);
    copied
}
