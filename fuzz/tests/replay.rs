//! Replay of the fuzzer's corpora, as regression tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use waxseal_fuzz::TARGETS;

/// Limits on a corpus, so that it remains small enough for the repository.
const MOST_FILES: usize = 200;
const LARGEST_FILE: usize = 4096;

fn corpora() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

fn names(folder: &PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder of corpora");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.expect("entry"))).collect()
}

#[test]
fn l15_every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(names(&corpora()), targets);
}

/// One test for each target, so that they run in parallel and a failure names its target.
macro_rules! replay {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )+

        #[test]
        fn every_target_is_replayed() {
            let replayed = BTreeSet::from([$(stringify!($name)),+]);
            let targets: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed, targets);
        }
    };
}

replay! {
    addresses
    codec
    component
    config
    control
    edit
    header_edits
    lmtp_session
    message
    milter_answer
    milter_frames
    plan
    policy_tests
    recording
    sign
    standard_settings
    strip
    table
    tokens
}

fn replay(name: &str) {
    let target = waxseal_fuzz::target(name).expect("a target");
    let folder = corpora().join(name);
    let files = names(&folder);
    assert!(!files.is_empty(), "{} is empty", folder.display());
    assert!(
        files.len() <= MOST_FILES,
        "{} has {} files",
        folder.display(),
        files.len()
    );
    for file in files {
        let path = folder.join(&file);
        let data = fs::read(&path).expect("a corpus file");
        assert!(
            data.len() <= LARGEST_FILE,
            "{} has {} bytes",
            path.display(),
            data.len()
        );
        // The name of the failing file is in the output of the test.
        println!("{}", path.display());
        (target.check)(&data);
    }
}
