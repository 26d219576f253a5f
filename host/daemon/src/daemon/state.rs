//! Monitoring of the state folder.
//!
//! Removing the folder has no immediate effect: the secret is in memory, and the
//! counter database stays open. Both are missing after the next start, so the loss
//! is logged before.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use waxseal::crypto::secret::SECRET_FILE;

/// Polling interval.
const INTERVAL: Duration = Duration::from_secs(10);

/// Change of the secret file since the last check.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Removed,
    Replaced,
    Back,
}

struct StateWatch {
    secret: PathBuf,
    /// Device and inode at startup.
    begun: Option<(u64, u64)>,
    seen: Option<(u64, u64)>,
}

impl StateWatch {
    fn new(state: &Path) -> Self {
        let secret = state.join(SECRET_FILE);
        let begun = identity(&secret);
        Self {
            secret,
            begun,
            seen: begun,
        }
    }

    /// Reports each change once.
    fn look(&mut self) -> Option<Change> {
        let now = identity(&self.secret);
        if now == std::mem::replace(&mut self.seen, now) {
            return None;
        }
        Some(match now {
            None => Change::Removed,
            Some(_) if now == self.begun => Change::Back,
            Some(_) => Change::Replaced,
        })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Logs when the secret is removed or replaced, for as long as it is polled.
pub(super) async fn watch(state: PathBuf) {
    let mut watch = StateWatch::new(&state);
    let state = state.display();
    loop {
        tokio::time::sleep(INTERVAL).await;
        match watch.look() {
            None => {}
            Some(Change::Removed) => tracing::error!(
                "the secret in the state folder {state} was removed while the daemon runs. Mail is processed until the next \
                 restart; after it, counters restart from zero, and queued mail that waits for its route is not \
                 routed. Restore the folder from a backup before restarting Waxseal"
            ),
            Some(Change::Replaced) => tracing::warn!(
                "the secret in the state folder {state} was replaced while the daemon runs: the daemon uses the previous \
                 one until the next restart"
            ),
            Some(Change::Back) => {
                tracing::info!("the secret in the state folder {state} was restored")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d19_a_state_folder_that_is_removed_while_the_daemon_runs_is_noticed_once() {
        let folder = tempfile::tempdir().expect("folder");
        let state = folder.path().join("state");
        fs::create_dir(&state).expect("made");
        fs::write(state.join(SECRET_FILE), "secret").expect("written");
        let mut watch = StateWatch::new(&state);
        assert_eq!(watch.look(), None);
        fs::rename(&state, folder.path().join("away")).expect("moved");
        assert_eq!((watch.look(), watch.look()), (Some(Change::Removed), None));
        fs::rename(folder.path().join("away"), &state).expect("moved");
        assert_eq!((watch.look(), watch.look()), (Some(Change::Back), None));
        fs::write(state.join("other"), "secret").expect("written");
        fs::rename(state.join("other"), state.join(SECRET_FILE)).expect("moved");
        assert_eq!((watch.look(), watch.look()), (Some(Change::Replaced), None));
    }
}
