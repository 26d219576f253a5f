//! The crates that are published: what their manifests say, and which files
//! `cargo package` takes.
//!
//! `make package` also builds the archives.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Folder and name of each crate, and the files that it needs apart from sources.
const CRATES: [(&str, &str, &[&str]); 7] = [
    ("host/core", "waxseal-core", &[]),
    ("host/system", "waxseal-system", &[]),
    ("host/milter", "waxseal-milter", &["examples/milter_tag.rs"]),
    ("host/runtime", "waxseal-runtime", &["wit/policy.wit"]),
    ("host/engine", "waxseal", &[]),
    ("plugin/settings", "waxseal-settings", &[]),
    ("plugin/sdk", "waxseal-policy", &["wit/policy.wit"]),
];

/// Files of every package.
const COMMON: [&str; 5] = [
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/lib.rs",
];

/// Files that cargo adds.
const ADDED: [&str; 3] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"];

/// Folders that a package may have.
const FOLDERS: [&str; 4] = ["examples", "src", "tests", "wit"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(folder: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    text.parse().expect("TOML")
}

fn packaged(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "package",
            "--list",
            "--allow-dirty",
            "--offline",
            "-p",
            name,
        ])
        .output()
        .expect("cargo");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).expect("paths");
    list.lines().map(str::to_owned).collect()
}

/// The path without `.` and `..`; `None` if it leaves the folder that it starts in.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => normal.push(part),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}

#[test]
fn manifests_have_what_a_registry_shows() {
    for (folder, name, _) in CRATES {
        let manifest = manifest(folder);
        let package = manifest["package"].as_table().expect("a table");
        assert_eq!(package["name"].as_str(), Some(name));
        assert_eq!(package["readme"].as_str(), Some("README.md"), "{name}");
        for key in [
            "description",
            "license",
            "rust-version",
            "version",
            "edition",
        ] {
            assert!(package.contains_key(key), "{name}: no {key}");
        }
        for key in ["keywords", "categories"] {
            let values = package[key].as_array().expect("a list");
            assert!((1..=5).contains(&values.len()), "{name}: {key}");
        }
        for keyword in package["keywords"].as_array().expect("a list") {
            let keyword = keyword.as_str().expect("a text");
            assert!((1..=20).contains(&keyword.len()), "{name}: {keyword}");
        }
        assert_ne!(package.get("publish"), Some(&toml::Value::Boolean(false)));
        assert!(
            package["metadata"]["docs"]["rs"]["all-features"].as_bool() == Some(true),
            "{name}: documentation on docs.rs"
        );
    }
}

#[test]
fn dependencies_between_published_crates_have_versions() {
    let workspace = manifest("");
    let shared = workspace["workspace"]["dependencies"].as_table();
    let shared = shared.expect("a table");
    let published: BTreeSet<&str> = CRATES.iter().map(|(_, name, _)| *name).collect();
    for (folder, name, _) in CRATES {
        let manifest = manifest(folder);
        for section in ["dependencies", "dev-dependencies"] {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            for dependency in table.into_iter().flat_map(toml::Table::keys) {
                let Some(path) = shared[dependency].get("path") else {
                    continue;
                };
                assert!(published.contains(dependency.as_str()), "{name}: {path}");
                assert!(
                    shared[dependency].get("version").is_some(),
                    "{name}: {path}"
                );
            }
        }
    }
}

#[test]
fn packages_contain_their_files_and_no_others() {
    for (folder, name, needed) in CRATES {
        let files = packaged(name);
        for file in COMMON.iter().chain(needed) {
            assert!(files.contains(*file), "{name}: no {file}");
        }
        for file in &files {
            let top = file.split('/').next().expect("a part");
            let known = match file.contains('/') {
                true => FOLDERS.contains(&top),
                false => COMMON.contains(&top) || ADDED.contains(&top),
            };
            assert!(known, "{name}: {file}");
        }
        // Whatever a source includes at compile time. Unit tests are not run from an
        // archive, and may read files of the repository.
        let sources = files.iter().filter(|file| file.ends_with(".rs"));
        for file in sources.filter(|file| !file.ends_with("tests.rs")) {
            let text = fs::read_to_string(root().join(folder).join(file)).expect("source");
            let parent = Path::new(file).parent().expect("a folder");
            for start in ["include_str!(\"", "include_bytes!(\"", "#[path = \""] {
                for rest in text.split(start).skip(1) {
                    let path = rest.split('"').next().expect("a text");
                    let path = normal(&parent.join(path));
                    let within = path.is_some_and(|path| files.contains(&*path.to_string_lossy()));
                    assert!(within, "{name}: {file} includes {rest:.60}");
                }
            }
        }
    }
}
