//! The files of a policy: reading them, and noticing that they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::manager::PolicyManager;
use super::snapshots::{InputFiles, PinReason};
use super::version::ActivationReason;
use super::watch::Watch;
use crate::config::Config;

/// How long a file may be missing before that is an error: it may be on its way.
const MISSING: Duration = Duration::from_secs(2);

impl PolicyManager {
    /// Watches the files, and remembers when the host went back by itself. Runs
    /// for ever.
    pub async fn keep(self: Arc<Self>) {
        let watching = Arc::clone(&self).watch_files();
        let mut changes = self.versions.changes();
        let remembering = async {
            while changes.changed().await.is_ok() {
                let version = self.versions.in_service();
                if let ActivationReason::AutomaticRollback { .. } = version.why() {
                    self.settle(PinReason::Failed, None, version.since()).await;
                }
            }
        };
        tokio::join!(watching, remembering);
    }

    async fn watch_files(self: Arc<Self>) {
        let mut watch = Watch::new();
        loop {
            let named = self.known().named.clone();
            let paths = paths(&named);
            watch.set(paths.clone());
            let changed = async {
                match named.policy.watch {
                    true => watch.changed().await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = self.renamed.notified() => continue,
            }
            if paths.iter().any(|path| !path.exists()) {
                // Perhaps it is being replaced.
                watch.event(MISSING).await;
            }
            // What came of it has been logged.
            let _ = self.files_changed(Timestamp::now()).await;
        }
    }
}

/// What the files of a configuration contain; none where one cannot be read.
pub(super) async fn read(config: &Config) -> Option<InputFiles> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || InputFiles::read(&config));
    read.await.ok()?
}

/// The files of a configuration that are watched.
pub(super) fn paths(config: &Config) -> Vec<PathBuf> {
    let tables = config.tables.iter().map(|table| &table.file);
    std::iter::once(&config.policy.file)
        .chain(&config.policy.settings)
        .chain(tables)
        .cloned()
        .collect()
}
