//! Replays the fuzzer's corpus, so that what it once found stays found.

#[path = "../../fuzz/checks/edit.rs"]
mod edit;

#[test]
fn messages_that_the_fuzzer_kept_are_edited_safely() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/edit");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("fuzz/corpus/edit") {
        let path = entry.expect("entry").path();
        edit::check(&std::fs::read(&path).expect("corpus file"));
        replayed += 1;
    }
    assert!(replayed > 0, "fuzz/corpus/edit is empty");
}
