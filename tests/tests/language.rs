//! The rules of language that a machine can check: no file of the project has a
//! phrase that stands for a term of the field (CONTRIBUTING.md), in code, comments,
//! names, messages or documentation.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders that are checked, relative to the repository.
const PLACES: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "docs",
    "examples",
    "fuzz/checks",
    "host",
    "plugin",
    "scripts",
    "tests",
];

/// Not checked: the contract and its copies, which are frozen, and mail.
const EXCEPTIONS: &[&str] = &[
    // Still to be cleaned: remove the entry when it is.
    "host/engine/src/config",
    "host/engine/src/dkim",
    "host/engine/src/pipeline",
    "host/engine/src/record",
    "host/runtime/tests/fixtures",
    "host/runtime/wit",
    "plugin/sdk/wit",
    "tests/policy/golden",
    "tests/samples",
    "tests/tests/language.rs",
];

const EXTENSIONS: &[&str] = &[
    "cf", "js", "json", "md", "mjs", "py", "rs", "service", "sh", "toml",
];

/// Phrases, and the terms to use instead. Words are compared in lower case, across
/// line ends and in the parts of a name (`what_becomes_of`).
const PHRASES: &[(&str, &str)] = &[
    ("told", "logged, reported, returned"),
    ("hears of", "is notified of"),
    ("becomes of", "happens to"),
    ("became of", "happened to"),
    ("came of", "resulted from"),
    ("whoever", "a client, a user, everyone who"),
    ("to be had", "available"),
    ("go with this", "be compatible with"),
    ("put in service", "activate"),
    ("puts in service", "activates"),
    ("gone back from", "rolled back from"),
    ("went back from", "rolled back from"),
    ("is no address", "invalid address"),
    ("is no component", "is not a component"),
    ("is no domain", "invalid domain"),
    ("is no name", "invalid name"),
    ("is no network", "invalid network"),
    ("is no selector", "invalid selector"),
    ("says not", "does not"),
    ("stands at", "is at"),
    ("stands beside", "is next to"),
    ("stands here", "is here"),
    ("stands in", "is in"),
    ("stands there", "is there"),
    ("shed", "strip"),
    ("parcel", "frame"),
    ("afresh", "again, from zero"),
    ("anew", "again"),
    ("outside recipient", "remote recipient"),
    ("outside recipients", "remote recipients"),
    ("behaviour", "behavior"),
    ("colour", "color"),
    ("colours", "colors"),
    ("initialise", "initialize"),
    ("initialised", "initialized"),
    ("licence", "license"),
    ("neighbour", "neighbor"),
    ("normalise", "normalize"),
    ("normalised", "normalized"),
    ("organisation", "organization"),
    ("organisations", "organizations"),
    ("recognise", "recognize"),
    ("recognised", "recognized"),
    ("recognises", "recognizes"),
];

#[test]
fn no_file_uses_a_phrase_instead_of_the_term_of_the_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for place in PLACES {
        collect(&root, Path::new(place), &mut files);
    }
    assert!(files.len() > 400, "only {} files found", files.len());
    let phrases: Vec<(Vec<&str>, &str)> = PHRASES
        .iter()
        .map(|(phrase, term)| (phrase.split(' ').collect(), *term))
        .collect();
    let mut found = String::new();
    for file in files {
        let text = fs::read_to_string(root.join(&file)).expect("a text");
        for (line, phrase, term) in matches(&text, &phrases) {
            let file = file.display();
            writeln!(found, "{file}:{line}: \"{phrase}\"; expected: {term}").expect("a text");
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn phrases_are_found_across_lines_and_in_names() {
    let phrases = [(vec!["becomes", "of"], "happens to")];
    let found = |text: &str| matches(text, &phrases).len();
    assert_eq!(found("/// what becomes\n    /// of it"), 1);
    assert_eq!(found("fn what_becomes_of_it() {}"), 1);
    assert_eq!(found("Becomes. Of"), 1);
    assert_eq!(found("becomes often"), 0);
}

fn collect(root: &Path, place: &Path, files: &mut Vec<PathBuf>) {
    let path = root.join(place);
    if EXCEPTIONS
        .iter()
        .any(|exception| place == Path::new(exception))
        || path.is_symlink()
    {
        return;
    }
    if path.is_dir() {
        let entries = fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let built = ["node_modules", "target", ".venv"];
            if !built.iter().any(|folder| name == *folder) {
                collect(root, &place.join(name), files);
            }
        }
        return;
    }
    let extension = place.extension().and_then(|it| it.to_str());
    if extension.is_none_or(|it| EXTENSIONS.contains(&it)) && path.is_file() {
        files.push(place.to_owned());
    }
}

/// Line, phrase and term of each match.
fn matches<'a>(
    text: &str,
    phrases: &'a [(Vec<&'a str>, &'a str)],
) -> Vec<(usize, String, &'a str)> {
    let words: Vec<(usize, String)> = (1..)
        .zip(text.lines())
        .flat_map(|(number, line)| {
            line.split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(move |word| (number, word.to_lowercase()))
        })
        .collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        for (phrase, term) in phrases {
            let window = words[at..].iter().map(|(_, word)| word.as_str());
            if window.take(phrase.len()).eq(phrase.iter().copied()) {
                found.push((words[at].0, phrase.join(" "), *term));
            }
        }
    }
    found
}
