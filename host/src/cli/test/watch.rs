//! `--watch`: tests run again when what they depend on changes.
//!
//! Files are looked at by their time of change and length: that sees every
//! editor's way of writing, on every file system, and costs nothing that anybody
//! would notice.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::session::Tests;
use crate::cli::support::Status;
use crate::cli::terminal;
use crate::testing::{self, Stamps, stamps};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Runs tests until somebody ends the command.
pub(super) fn watch(tests: &mut Tests<'_>) -> anyhow::Result<Status> {
    loop {
        // Looked at before the run: what changes meanwhile is seen after it.
        let before = stamps(&testing::test_files(&tests.paths));
        let begun = SystemTime::now();
        let (_, files) = tests.once()?;
        terminal::error_line!("watching {} files; Ctrl-C ends it", files.len());
        let mut seen = stamps(&files);
        let missed = seen
            .values()
            .flatten()
            .any(|(changed, _)| *changed > begun && !tests.arguments.bless);
        if missed {
            seen.clear();
        }
        wait(tests, &before, &seen, &files);
        terminal::error_line!("--- again ---");
    }
}

/// Returns when something has changed and stays as it is for a moment: a file
/// that is being written is not read half.
fn wait(tests: &Tests<'_>, tests_seen: &Stamps, seen: &Stamps, files: &[PathBuf]) {
    let look = || (stamps(&testing::test_files(&tests.paths)), stamps(files));
    let mut last = loop {
        thread::sleep(EVERY);
        let now = look();
        if now.0 != *tests_seen || now.1 != *seen {
            break now;
        }
    };
    loop {
        thread::sleep(EVERY);
        let now = look();
        if now == last {
            return;
        }
        last = now;
    }
}
