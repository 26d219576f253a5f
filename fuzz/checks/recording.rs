//! Reading of recorded decisions.

use std::fs;
use std::path::Path;

use waxseal::record::{Entry, Recorded, read};
use waxseal_daemon::testing::{Suite, recorded_case};

use crate::cost::Cost;
use crate::input::Input;

/// The text is a file of entries, one per line.
pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.text();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("decisions.jsonl");
    fs::write(&path, &text).expect("a file");
    let entries = || -> Vec<Recorded> { read(&path).expect("a file").flatten().collect() };
    let recorded = Cost::MANY_PASSES.hold("reading a recording", text.len(), entries);
    let lines = text.iter().filter(|&&byte| byte == b'\n').count();
    assert!(recorded.len() <= lines, "more entries than lines");
    for recorded in recorded.iter().take(10) {
        is_written_again(&recorded.entry);
    }
    if let Some(first) = recorded.first() {
        is_a_test(&first.entry, folder.path());
    }
}

fn is_written_again(entry: &Entry) {
    let json = serde_json::to_string(entry).expect("JSON");
    let again: Entry = serde_json::from_str(&json).expect("the entry that was written");
    assert_eq!(&again, entry, "the entry is read differently");
    // An entry may have values that no message has: then there is no message.
    if let Ok(message) = entry.message(b"From: ann@acme.test\r\n\r\nHi\r\n".to_vec()) {
        assert_eq!(message.arrival, entry.arrival);
    }
    assert!(
        entry.result.differences(&again.result).is_empty(),
        "it differs from itself"
    );
}

/// Checks that any entry becomes a valid test file.
fn is_a_test(entry: &Entry, folder: &Path) {
    // TOML has no dates before the year 0 and no numbers over 63 bits.
    let Ok(case) = recorded_case(entry, "a.eml", &folder.join("waxseal.toml")) else {
        return;
    };
    let path = folder.join("test.toml");
    fs::write(&path, &case).expect("a file");
    fs::write(folder.join("a.eml"), "From: ann@acme.test\r\n\r\nHi\r\n").expect("a file");
    if let Err(problems) = Suite::read(&[path]) {
        let syntax = problems
            .iter()
            .find(|problem| problem.message.contains("invalid TOML"));
        assert!(syntax.is_none(), "{syntax:?} in\n{case}");
    }
}
