//! Tests of relays and journal that are specific to SQLite.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::tests::SqliteFolder;
use super::{JOURNAL_FILE, RELAYS_FILE, SqliteJournal, SqliteRelays};
use crate::state::conformance::journal::{self, SharedJournal};
use crate::state::conformance::relays::{self, SharedRelays};
use crate::state::{
    DeliveryKey, JournalChange, JournalEntry, JournalStore, RelayStore, StateErrorKind,
    StateOptions, open_journal, open_relays,
};
use waxseal_system::secure_fs;

impl SharedRelays for SqliteFolder {
    fn open(&self) -> Arc<dyn RelayStore> {
        open_relays(&StateOptions::sqlite(self.state())).expect("store")
    }
}

impl SharedJournal for SqliteFolder {
    fn open(&self) -> Arc<dyn JournalStore> {
        open_journal(&StateOptions::sqlite(self.state())).expect("store")
    }
}

fn key() -> DeliveryKey {
    DeliveryKey::new([1; 16], "ann@a.test", 0)
}

fn taken() -> JournalEntry {
    JournalEntry::Taken {
        relay: "north".to_owned(),
        reply: "250 ok".to_owned(),
        at: Timestamp::constant(1_800_000_000, 0),
    }
}

fn journal_file(folder: &SqliteFolder) -> PathBuf {
    folder.state().join(JOURNAL_FILE)
}

#[test]
fn r7_sqlite_passes_the_conformance_suite_of_relays() {
    relays::run(&SqliteFolder::new());
}

#[test]
fn r6_sqlite_passes_the_conformance_suite_of_the_journal() {
    journal::run(&SqliteFolder::new());
}

#[test]
fn r6_a_damaged_journal_is_moved_away_and_a_new_one_created() {
    let folder = SqliteFolder::new();
    secure_fs::folder(&folder.state()).expect("folder");
    fs::write(journal_file(&folder), "no database ".repeat(1000)).expect("written");
    let journal = SqliteJournal::open(&folder.state()).expect("a new one");
    journal
        .apply(&[JournalChange::Set(key(), taken())])
        .expect("applied");
    let moved = folder.state().join(format!("{JOURNAL_FILE}.damaged"));
    assert!(
        fs::read_to_string(moved)
            .expect("text")
            .starts_with("no database")
    );
}

#[test]
fn r6_a_journal_with_damaged_pages_is_moved_away() {
    let folder = SqliteFolder::new();
    let changes: Vec<_> = (0..2000u32)
        .map(|nth| {
            let key = DeliveryKey::new([1; 16], "ann@a.test", nth);
            JournalChange::Set(key, taken())
        })
        .collect();
    let journal = SqliteJournal::open(&folder.state()).expect("open");
    journal.apply(&changes).expect("applied");
    // Closing the last connection writes the log into the main file.
    drop(journal);
    let mut bytes = fs::read(journal_file(&folder)).expect("read");
    assert!(bytes.len() > 50_000, "{}", bytes.len());
    bytes[8192..].fill(0xA5);
    fs::write(journal_file(&folder), bytes).expect("written");
    let journal = SqliteJournal::open(&folder.state()).expect("a new one");
    assert_eq!(journal.count().expect("count"), 0);
}

#[test]
fn r6_a_journal_of_a_newer_version_is_moved_away() {
    let folder = SqliteFolder::new();
    let journal = SqliteJournal::open(&folder.state()).expect("open");
    journal
        .connection_for_tests()
        .pragma_update(None, "user_version", 99)
        .expect("version");
    drop(journal);
    let journal = SqliteJournal::open(&folder.state()).expect("a new one");
    assert_eq!(journal.read(&[key()]).expect("read"), [None]);
}

#[test]
fn r6_reading_the_journal_does_not_wait_for_a_writer() {
    let folder = SqliteFolder::new();
    let journal = SqliteJournal::open(&folder.state()).expect("open");
    journal
        .apply(&[JournalChange::Set(key(), taken())])
        .expect("applied");
    // The lock that a write takes for as long as it lasts.
    let _writer = journal.connection_for_tests();
    assert_eq!(journal.read(&[key()]).expect("read"), [Some(taken())]);
}

#[test]
fn a_journal_on_a_full_disk_reports_that() {
    let folder = SqliteFolder::new();
    let journal = SqliteJournal::open(&folder.state()).expect("open");
    journal
        .connection_for_tests()
        .pragma_update(None, "max_page_count", 1)
        .expect("pragma");
    let entry = JournalEntry::Taken {
        relay: "north".to_owned(),
        reply: "x".repeat(9000),
        at: Timestamp::UNIX_EPOCH,
    };
    let error = journal
        .apply(&[JournalChange::Set(key(), entry)])
        .expect_err("full");
    assert_eq!(error.kind, StateErrorKind::Full);
}

#[test]
fn relays_of_a_newer_version_or_a_damaged_file_are_rejected() {
    let folder = SqliteFolder::new();
    let path = folder.state().join(RELAYS_FILE);
    assert!(
        SqliteRelays::open_read_only(&folder.state())
            .expect("none")
            .is_none()
    );
    drop(SqliteRelays::open(&folder.state()).expect("open"));
    let connection = rusqlite::Connection::open(&path).expect("open");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("version");
    drop(connection);
    let kind = |opened: Result<SqliteRelays, crate::state::StateError>| {
        opened.map(drop).map_err(|error| error.kind)
    };
    assert_eq!(
        kind(SqliteRelays::open(&folder.state())),
        Err(StateErrorKind::NewerVersion)
    );
    fs::write(&path, "no database ".repeat(1000)).expect("written");
    assert_eq!(
        kind(SqliteRelays::open(&folder.state())),
        Err(StateErrorKind::Corrupt)
    );
}
