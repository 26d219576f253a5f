//! Tests of what is specific to SQLite.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::{COUNTERS_FILE, SqliteCounters};
use crate::state::conformance::{self, DAY, SharedState, UNIT, values};
use crate::state::{CounterStore, StateErrorKind};
use waxseal_system::secure_fs;

/// A folder of state that several stores open.
pub(crate) struct SqliteFolder(TempDir);

impl SqliteFolder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }
}

impl SharedState for SqliteFolder {
    fn open(&self) -> Arc<dyn CounterStore> {
        Arc::new(SqliteCounters::open(&self.state()).expect("store"))
    }
}

#[test]
fn r12_sqlite_passes_the_conformance_suite() {
    conformance::run(&SqliteFolder::new());
}

#[test]
fn a_file_that_is_not_a_database_is_rejected() {
    let folder = SqliteFolder::new();
    secure_fs::folder(&folder.state()).expect("folder");
    let path = folder.state().join(COUNTERS_FILE);
    std::fs::write(
        &path,
        "this is a text, and quite a long one, of no use to SQLite".repeat(20),
    )
    .expect("written");
    let error = SqliteCounters::open(&folder.state()).expect_err("rejected");
    assert_eq!(error.kind, StateErrorKind::Corrupt);
    assert!(error.message.contains(&*path.to_string_lossy()), "{error}");
}

#[test]
fn a_damaged_database_is_rejected() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let path = folder.state().join(COUNTERS_FILE);
    let mut bytes = std::fs::read(&path).expect("read");
    let length = bytes.len();
    bytes[4096.min(length / 2)..].fill(0xA5);
    std::fs::write(&path, bytes).expect("written");
    let damaged =
        SqliteCounters::open(&folder.state()).and_then(|store| store.take(DAY, "a", UNIT, 1));
    assert_eq!(
        damaged.map_err(|error| error.kind),
        Err(StateErrorKind::Corrupt)
    );
}

#[test]
fn a_file_of_a_newer_version_is_rejected() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let path = folder.state().join(COUNTERS_FILE);
    let connection = rusqlite::Connection::open(&path).expect("open");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("version");
    drop(connection);
    for refused in [
        SqliteCounters::open(&folder.state()).err(),
        SqliteCounters::open_read_only(&folder.state()).err(),
    ] {
        let kind = refused.map(|error| error.kind);
        assert_eq!(kind, Some(StateErrorKind::NewerVersion));
    }
}

#[test]
fn a_store_opened_to_read_changes_nothing() {
    let folder = SqliteFolder::new();
    assert!(
        SqliteCounters::open_read_only(&folder.state())
            .expect("none")
            .is_none()
    );
    assert!(!folder.state().exists());
    folder.open().take(DAY, "a", UNIT, 5).expect("take");
    let reader = SqliteCounters::open_read_only(&folder.state())
        .expect("open")
        .expect("there");
    assert_eq!(values(&reader, "a"), (1, 0));
    let taken = reader.take(DAY, "a", UNIT, 5);
    assert_eq!(
        taken.map_err(|error| error.kind),
        Err(StateErrorKind::ReadOnly)
    );
}

#[test]
fn a_full_disk_grants_nothing() {
    let folder = SqliteFolder::new();
    let store = SqliteCounters::open(&folder.state()).expect("store");
    // A file that may not grow fails as a full disk does.
    store
        .connection_for_tests()
        .pragma_update(None, "max_page_count", 1)
        .expect("pragma");
    let long = "n".repeat(5000);
    let error = (0..10)
        .find_map(|nth| store.take(DAY, &format!("{long}{nth}"), UNIT, 5).err())
        .expect("full");
    assert_eq!(error.kind, StateErrorKind::Full, "{error}");
}

#[test]
fn a_folder_that_others_can_read_is_rejected() {
    let folder = SqliteFolder::new();
    secure_fs::folder(&folder.state()).expect("folder");
    std::fs::set_permissions(folder.state(), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
    let error = SqliteCounters::open(&folder.state()).expect_err("refused");
    assert_eq!(error.kind, StateErrorKind::Permissions, "{error}");
}

#[test]
fn the_file_is_private() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder.state()), 0o700);
}

#[test]
fn the_secret_knows_the_counters_as_a_trace_of_an_earlier_run() {
    assert!(crate::crypto::secret::STATE_FILES.contains(&COUNTERS_FILE));
}
