//! The watcher of the configured files, which reports changes to the manager.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::files::paths;
use super::handle::PolicyManager;
use waxseal_system::file_watch::FileWatch;

/// How long a file may be missing before that is an error: it may just be being
/// replaced.
const MISSING: Duration = Duration::from_secs(2);

impl PolicyManager {
    /// Watches the configured files and tries them when they change, as long as
    /// `policy.watch` is set. Runs until the future is dropped.
    pub async fn watch(self: Arc<Self>) {
        let mut watch = FileWatch::new();
        let mut published = self.published();
        loop {
            let config = Arc::clone(&published.borrow_and_update().config);
            let paths = paths(&config);
            watch.set_paths(paths.clone());
            let changed = async {
                match config.policy.watch {
                    true => watch.changed().await,
                    false => std::future::pending().await,
                }
            };
            let reconfigured =
                published.wait_for(|published| !Arc::ptr_eq(&published.config, &config));
            tokio::select! {
                () = changed => {}
                reconfigured = reconfigured => match reconfigured {
                    Ok(_) => continue,
                    // The manager has stopped.
                    Err(_) => return,
                },
            }
            if paths.iter().any(|path| !path.exists()) {
                watch.event(MISSING).await;
            }
            // The manager logs the result.
            let _ = self.files_changed(Timestamp::now()).await;
        }
    }
}
