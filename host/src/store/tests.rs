//! What every store promises, written for any of them, and what is SQLite's
//! own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::{Date, date};
use tempfile::TempDir;

use super::*;

const DAY: Date = date(2026, 11, 21);
const UNIT: Want = Want {
    least: 1,
    share: 1,
    most: 1,
};

/// Opens stores that share what they keep, as processes do.
pub(crate) trait Shared {
    fn open(&self) -> Arc<dyn Store>;
}

/// A folder for a SQLite file.
pub(crate) struct SqliteFolder(TempDir);

impl SqliteFolder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }
}

impl Shared for SqliteFolder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.state()).expect("store"))
    }
}

fn said(store: &dyn Store, counter: &str) -> (u64, u64) {
    let usage = store
        .usage(DAY)
        .expect("usage")
        .get(counter)
        .copied()
        .unwrap_or_default();
    (usage.taken, usage.spent)
}

/// Everything that a store promises.
fn keeps_its_promises(shared: &impl Shared) {
    grants_shrink_and_end_at_the_maximum(&*shared.open());
    nothing_is_granted_below_the_least(&*shared.open());
    entries_are_added_and_never_below_zero(&*shared.open());
    a_lower_maximum_grants_nothing(&*shared.open());
    days_are_apart_and_old_ones_forgotten(&*shared.open());
    what_was_granted_outlives_the_store(shared);
    many_together_never_take_more_than_the_maximum(shared);
}

fn grants_shrink_and_end_at_the_maximum(store: &dyn Store) {
    let want = Want {
        least: 1,
        share: 4,
        most: 20,
    };
    let mut grants = Vec::new();
    loop {
        match store.take(DAY, "shrinks", want, 100).expect("take") {
            0 => break,
            granted => grants.push(granted),
        }
    }
    assert_eq!(grants.iter().sum::<u64>(), 100);
    assert!(grants.is_sorted_by(|a, b| a >= b), "{grants:?}");
    assert_eq!((grants[0], grants.last()), (20, Some(&1)));
}

fn nothing_is_granted_below_the_least(store: &dyn Store) {
    let want = |least| Want {
        least,
        share: 32,
        most: 1000,
    };
    assert_eq!(store.take(DAY, "least", want(7), 10).expect("take"), 7);
    assert_eq!(store.take(DAY, "least", want(4), 10).expect("take"), 0);
    assert_eq!(store.take(DAY, "least", want(3), 10).expect("take"), 3);
    assert_eq!(said(store, "least"), (10, 0));
}

fn entries_are_added_and_never_below_zero(store: &dyn Store) {
    let entry = |spent, taken| {
        [Entry {
            counter: "entries".to_owned(),
            spent,
            taken,
        }]
    };
    store.enter(DAY, &entry(3, 5)).expect("enter");
    store.enter(DAY, &entry(-1, -2)).expect("enter");
    assert_eq!(said(store, "entries"), (3, 2));
    store.give_back(DAY, "entries", 1).expect("give back");
    assert_eq!(said(store, "entries"), (2, 2));
    store.enter(DAY, &entry(-100, -100)).expect("enter");
    assert_eq!(said(store, "entries"), (0, 0));
}

fn a_lower_maximum_grants_nothing(store: &dyn Store) {
    let all = Want {
        least: 50,
        share: 1,
        most: 50,
    };
    assert_eq!(store.take(DAY, "lowered", all, 100).expect("take"), 50);
    assert_eq!(store.take(DAY, "lowered", UNIT, 40).expect("take"), 0);
    assert_eq!(store.take(DAY, "lowered", UNIT, u64::MAX).expect("take"), 1);
}

fn days_are_apart_and_old_ones_forgotten(store: &dyn Store) {
    let next = DAY.tomorrow().expect("date");
    assert_eq!(store.take(DAY, "days", UNIT, 1).expect("take"), 1);
    assert_eq!(store.take(DAY, "days", UNIT, 1).expect("take"), 0);
    assert_eq!(store.take(next, "days", UNIT, 1).expect("take"), 1);
    let before = DAY.yesterday().expect("date");
    store.take(before, "days", UNIT, 1).expect("take");
    store.prune(DAY).expect("prune");
    assert!(store.usage(before).expect("usage").is_empty());
    assert_eq!(said(store, "days"), (1, 0));
}

fn what_was_granted_outlives_the_store(shared: &impl Shared) {
    let store = shared.open();
    assert_eq!(store.take(DAY, "outlives", UNIT, 1).expect("take"), 1);
    drop(store);
    assert_eq!(
        shared.open().take(DAY, "outlives", UNIT, 1).expect("take"),
        0
    );
}

fn many_together_never_take_more_than_the_maximum(shared: &impl Shared) {
    let stores: Vec<_> = (0..4).map(|_| shared.open()).collect();
    let granted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .map(|store| {
                scope.spawn(move || {
                    (0..40)
                        .map(|_| store.take(DAY, "together", UNIT, 100).expect("take"))
                        .sum::<u64>()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("joined"))
            .sum()
    });
    assert_eq!(granted, 100);
}

#[test]
fn r12_sqlite_keeps_what_every_store_promises() {
    keeps_its_promises(&SqliteFolder::new());
}

#[test]
fn a_file_that_is_no_database_is_told_and_left_alone() {
    let folder = SqliteFolder::new();
    prepare(&folder.state()).expect("folder");
    let path = folder.state().join(COUNTERS_FILE);
    std::fs::write(
        &path,
        "this is a text, and quite a long one, of no use to SQLite".repeat(20),
    )
    .expect("written");
    let error = SqliteStore::open(&folder.state()).expect_err("refused");
    assert!(
        matches!(&error, StoreError::Corrupt(file) if *file == path),
        "{error}"
    );
    assert!(error.to_string().contains("move the file away"), "{error}");
}

#[test]
fn a_damaged_database_is_told() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let path = folder.state().join(COUNTERS_FILE);
    let mut bytes = std::fs::read(&path).expect("read");
    let length = bytes.len();
    bytes[4096.min(length / 2)..].fill(0xA5);
    std::fs::write(&path, bytes).expect("written");
    let damaged =
        SqliteStore::open(&folder.state()).and_then(|store| store.take(DAY, "a", UNIT, 1));
    assert!(
        matches!(damaged, Err(StoreError::Corrupt(_))),
        "{damaged:?}"
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let path = folder.state().join(COUNTERS_FILE);
    let connection = rusqlite::Connection::open(&path).expect("open");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("version");
    drop(connection);
    for refused in [
        SqliteStore::open(&folder.state()).err(),
        SqliteStore::open_to_read(&folder.state()).err(),
    ] {
        assert!(
            matches!(refused, Some(StoreError::Newer { found: 99, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_store_opened_to_read_changes_nothing() {
    let folder = SqliteFolder::new();
    assert!(
        SqliteStore::open_to_read(&folder.state())
            .expect("none")
            .is_none()
    );
    assert!(!folder.state().exists());
    folder.open().take(DAY, "a", UNIT, 5).expect("take");
    let reader = SqliteStore::open_to_read(&folder.state())
        .expect("open")
        .expect("there");
    assert_eq!(said(&reader, "a"), (1, 0));
    assert!(matches!(
        reader.take(DAY, "a", UNIT, 5),
        Err(StoreError::ReadOnly(_))
    ));
}

#[test]
fn a_full_disk_is_told_and_grants_nothing() {
    let folder = SqliteFolder::new();
    let store = SqliteStore::open(&folder.state()).expect("store");
    // A file that may not grow fails as a full disk does.
    store
        .connection_for_tests()
        .pragma_update(None, "max_page_count", 1)
        .expect("pragma");
    let long = "n".repeat(5000);
    let error = (0..10)
        .find_map(|nth| store.take(DAY, &format!("{long}{nth}"), UNIT, 5).err())
        .expect("full");
    assert!(matches!(error, StoreError::Full(_)), "{error}");
}

#[test]
fn a_folder_that_others_may_look_into_is_refused() {
    let folder = SqliteFolder::new();
    prepare(&folder.state()).expect("folder");
    std::fs::set_permissions(folder.state(), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
    let error = SqliteStore::open(&folder.state()).expect_err("refused");
    assert!(error.to_string().contains("chmod go="), "{error}");
}

#[test]
fn the_file_is_private() {
    let folder = SqliteFolder::new();
    drop(folder.open());
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder.state()), 0o700);
}

#[test]
fn what_is_wanted_never_exceeds_the_room() {
    for room in 0..200 {
        for least in 0..50 {
            let want = Want {
                least,
                share: 32,
                most: 5,
            };
            let granted = want.of(room);
            assert!(
                granted <= room && (granted == 0 || granted >= least),
                "{room} {least} {granted}"
            );
        }
    }
}
