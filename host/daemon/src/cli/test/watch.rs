//! `--watch`: repeated test runs when a file changes.
//!
//! Changes are detected by polling, which works with every editor and every file
//! system.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::session::Tests;
use crate::cli::support::Status;
use crate::cli::terminal;
use crate::testing;
use waxseal_system::file_watch::{Stamps, stamps};

/// Polling interval.
const INTERVAL: Duration = Duration::from_millis(200);

/// Runs tests until the command is interrupted.
pub(super) fn watch(tests: &mut Tests<'_>) -> anyhow::Result<Status> {
    loop {
        // Taken before the run, so that a change during the run is detected.
        let before = stamps(&testing::test_files(&tests.paths));
        let begun = SystemTime::now();
        let (_, files) = tests.once()?;
        terminal::error_line!("watching {} files; press Ctrl-C to stop", files.len());
        let mut seen = stamps(&files);
        let missed = seen
            .values()
            .flatten()
            .any(|stamp| stamp.changed_after(begun) && !tests.arguments.bless);
        if missed {
            seen.clear();
        }
        wait(tests, &before, &seen, &files);
        terminal::error_line!("--- files changed, running again ---");
    }
}

/// Returns when a file has changed and then stays unchanged for one interval, so
/// that a partly written file is not read.
fn wait(tests: &Tests<'_>, tests_seen: &Stamps, seen: &Stamps, files: &[PathBuf]) {
    let look = || (stamps(&testing::test_files(&tests.paths)), stamps(files));
    let mut last = loop {
        thread::sleep(INTERVAL);
        let now = look();
        if now.0 != *tests_seen || now.1 != *seen {
            break now;
        }
    };
    loop {
        thread::sleep(INTERVAL);
        let now = look();
        if now == last {
            return;
        }
        last = now;
    }
}
