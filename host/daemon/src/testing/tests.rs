//! Reading test files, without a policy to run.

use std::fs;
use std::path::{Path, PathBuf};

use super::Suite;
use super::golden::kept_form;
use waxseal::config::Problem;
use waxseal_core::message::Content;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn read(files: &[(&str, &str)]) -> Result<Suite, Vec<Problem>> {
    let folder = folder(files);
    Suite::read(&[folder.path().to_owned()])
}

fn names(suite: &Suite) -> Vec<&str> {
    suite.cases.iter().map(|case| case.name.as_str()).collect()
}

const CASE: &str = "[[case]]\nname = \"a\"\nmessage = \"x\\n\"\nexpect = { relay = \"r\" }\n";

#[test]
fn r27_of_a_folder_those_files_are_read_that_have_cases() {
    let suite = read(&[
        ("waxseal.toml", "hostname = \"h.test\"\n"),
        ("b/later.toml", CASE),
        ("a.toml", &CASE.replace("\"a\"", "\"first\"")),
        (".hidden/c.toml", CASE),
        ("notes.txt", CASE),
    ]);
    assert_eq!(names(&suite.expect("a suite")), ["first", "a"]);
    let nothing = read(&[("waxseal.toml", "hostname = \"h.test\"\n")]);
    let problems = nothing.expect_err("no tests");
    assert_eq!((problems.len(), problems[0].line), (1, None));
    let nowhere = Suite::read(&[PathBuf::from("/nowhere.toml")]).err();
    let nowhere = nowhere.expect("a problem");
    assert_eq!(nowhere[0].file, Path::new("/nowhere.toml"));
}

#[test]
fn r27_rows_say_more_than_their_case_and_a_case_more_than_the_defaults() {
    let text = r#"
[defaults]
user = "ann"
used = { x = 1, y = 2 }
expect = { verdict = "accept", relay = "one" }
[[case]]
name = "c"
message = """
From: a@b.test

"""
used = { y = 3 }
expect = { relay = "two" }
[[case.row]]
used = { z = 4 }
[[case.row]]
name = "own"
user = ""
expect = { relay = "three" }
"#;
    let suite = read(&[("t.toml", text)]).expect("a suite");
    assert_eq!(names(&suite), ["c: 1", "c: own"]);
    let (first, second) = (&suite.cases[0], &suite.cases[1]);
    let used: Vec<_> = first.input.used.iter().collect();
    let expected = [("x", 1), ("y", 3), ("z", 4)].map(|(name, units)| (name.to_owned(), units));
    assert!(
        used.into_iter()
            .eq(expected.iter().map(|(name, units)| (name, units)))
    );
    assert_eq!(first.input.user.as_deref(), Some("ann"));
    assert_eq!(second.input.user.as_deref(), Some(""));
    let relay = |case: &super::suite::Case| case.expected.relay.clone().map(|relay| relay.value);
    assert_eq!(relay(first).as_deref(), Some("two"));
    assert_eq!(relay(second).as_deref(), Some("three"));
    assert!(second.expected.verdict.is_some());
    assert!(suite.filter("OWN").len() == 1);
}

#[test]
fn r27_expected_messages_hold_our_signatures_by_their_domains_alone() {
    let message = "DKIM-Signature: v=1; a=rsa-sha256; s=x; d=acme.test; b=AB\r\n CD\r\n\
        DKIM-Signature: v=1; a=ed25519-sha256; s=y; d=acme.test; b=EF\r\n\
        DKIM-Signature: v=1; d=elsewhere.test; b=theirs\r\nFrom: a@acme.test\r\n\r\nHello\r\n";
    let kept = kept_form(&Content::new(message.into()), 2);
    assert_eq!(
        String::from_utf8(kept).expect("text"),
        "DKIM-Signature: d=acme.test; (ours)\nDKIM-Signature: v=1; d=elsewhere.test; b=theirs\n\
         From: a@acme.test\n\nHello\n"
    );
}
