//! The copies of the contract inside the crates that are published, compared with
//! `wit/policy.wit`.

use std::fs;
use std::path::Path;

/// Folders of crates that are packaged with a copy.
const CRATES: [&str; 2] = ["host/runtime", "plugin/sdk"];

#[test]
fn the_copies_of_the_contract_are_the_same_as_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let contract = read("wit/policy.wit");
    for folder in CRATES {
        let copy = format!("{folder}/wit/policy.wit");
        assert!(
            read(&copy) == contract,
            "{copy} is not up to date: run cp wit/policy.wit {copy}"
        );
    }
}
