//! Segments of a recording: folders named by the time of their start, so that names are in chronological order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Name of the file of entries in a segment.
pub(super) const ENTRIES: &str = "decisions.jsonl";

/// Approximate bytes of a file on disk: a message of a hundred bytes takes a block.
pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

/// File name of a message.
pub(super) fn message_file(sha256: &str) -> String {
    format!("{sha256}.eml")
}

/// Name of a new segment; `attempt` distinguishes those of the same millisecond.
pub(super) fn name(now: Timestamp, attempt: u32) -> String {
    let time = now.strftime("%Y%m%dT%H%M%S.%3fZ");
    match attempt {
        0 => time.to_string(),
        attempt => format!("{time}-{attempt}"),
    }
}

/// Whether a folder name is that of a segment: nothing else is ever deleted.
fn is_name(name: &str) -> bool {
    let shape = |text: &str| -> String {
        let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(digit).collect()
    };
    let (time, attempt) = name.split_once('-').unwrap_or((name, "0"));
    shape(time) == "00000000T000000.000Z" && attempt.bytes().all(|byte| byte.is_ascii_digit())
}

/// The segments of a recording, oldest first.
///
/// # Errors
///
/// When the folder cannot be read.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_name) && entry.file_type()?.is_dir() {
            segments.push(entry.path());
        }
    }
    segments.sort();
    Ok(segments)
}

/// Bytes of a segment on disk; files that disappear meanwhile count as none.
pub(super) fn size(segment: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(segment) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| on_disk(metadata.len()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognized_and_in_order() {
        let now: Timestamp = "2026-11-21T21:59:48.120Z".parse().expect("an instant");
        let first = name(now, 0);
        assert_eq!(first, "20261121T215948.120Z");
        let second = name(now, 1);
        assert!(first < second && is_name(&first) && is_name(&second));
        for other in ["20261121", "messages", "20261121T215948.120Z-x", "..", ""] {
            assert!(!is_name(other), "{other}");
        }
    }
}
