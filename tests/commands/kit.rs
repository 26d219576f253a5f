//! R29: projects of policies in several languages.
//!
//! The tools of JavaScript and Python are installed by `make policies-languages`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use waxseal_testkit::waxseal::{binary, command, policy, repository};

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("a command")
}

fn waxseal(folder: &Path, arguments: &[&str]) -> Output {
    run(command().current_dir(folder).args(arguments))
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn succeeded(output: &Output, what: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}:\n{text}\n{errors}");
    text
}

/// Creates a policy, builds it and runs its tests as in its README, with
/// installed tools and `file` as up to date.
fn created_and_tested(language: &str, file: &str, ready: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().expect("a folder");
    let created = waxseal(dir.path(), &["new", "my-policy", "--lang", language]);
    succeeded(&created, language);
    let project = dir.path().join("my-policy");
    ready(&project);
    // The Node that builds the examples: a machine's own may be too old.
    let mut path = OsString::from(repository("target/node/bin:"));
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut make = Command::new("make");
    make.current_dir(&project)
        .env("PATH", path)
        .args(["test", "-o", file])
        .env("WAXSEAL", binary())
        .env("XDG_CACHE_HOME", repository("target/cache"))
        .env("CARGO_TARGET_DIR", repository("target/new-policy"))
        .env_remove("MAKEFLAGS");
    succeeded(&run(&mut make), language);
    let mut tests = command();
    tests
        .current_dir(&project)
        .env("XDG_CACHE_HOME", repository("target/cache"))
        .args(["test", "tests", "--json"]);
    let report = json(&run(&mut tests));
    assert_eq!(
        report["cases"].as_array().map(Vec::len),
        Some(4),
        "{report}"
    );
}

#[test]
fn r29_a_new_policy_in_rust_builds_and_its_tests_pass() {
    created_and_tested("rust", "nothing", |project| {
        // The versions that are here already.
        let lock = repository("Cargo.lock");
        fs::copy(lock, project.join("Cargo.lock")).expect("Cargo.lock");
    });
}

#[test]
fn r29_a_new_policy_in_javascript_builds_and_its_tests_pass() {
    created_and_tested("javascript", "node_modules/.package-lock.json", |project| {
        let tools = repository("target/javascript/node_modules");
        symlink(tools, project.join("node_modules")).expect("the tools");
    });
}

#[test]
fn r29_a_new_policy_in_python_builds_and_its_tests_pass() {
    created_and_tested("python", ".venv/bin/componentize-py", |project| {
        symlink(repository("target/python"), project.join(".venv")).expect("the tools");
    });
}

#[test]
fn r29_a_folder_that_exists_is_not_made_a_policy() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("mine")).expect("a folder");
    let output = waxseal(dir.path(), &["new", "mine", "--lang", "python"]);
    assert_eq!(output.status.code(), Some(2));
    let left = fs::read_dir(dir.path().join("mine")).expect("it").count();
    assert_eq!(left, 0);
}

/// One test file, and a policy that is written three times.
#[test]
fn r29_the_same_test_file_passes_in_each_language() {
    let guard = repository("examples/policies/guard");
    let file = fs::read_to_string(guard.join("tests/guard.toml")).expect("the tests");
    for language in ["rust", "javascript", "python"] {
        let dir = tempfile::tempdir().expect("a folder");
        let component = policy(&format!("guard_{language}"));
        let above = format!("{}/", repository("").display());
        let own = file
            .replace(
                "../../../../target/policies/guard_rust.wasm",
                &component.to_string_lossy(),
            )
            .replace("../../../../", &above)
            .replace(
                "../settings.toml",
                &guard.join("settings.toml").to_string_lossy(),
            )
            .replace(
                "\"may-send-anything\"\n",
                &format!("{:?}\n", guard.join("tests/may-send-anything")),
            );
        fs::write(dir.path().join("guard.toml"), own).expect("the tests");
        let tests = waxseal(dir.path(), &["test", "guard.toml", "--json"]);
        succeeded(&tests, language);
        assert_eq!(json(&tests)["cases"].as_array().map(Vec::len), Some(7));
    }
}

#[test]
fn r29_inspect_describes_a_component() {
    let dir = tempfile::tempdir().expect("a folder");
    let component = policy("guard_rust");
    let component = component.to_str().expect("a path");
    let output = waxseal(dir.path(), &["inspect", component, "--json"]);
    succeeded(&output, "inspect");
    let report = json(&output);
    assert_eq!(report["name"], "guard");
    assert_eq!(report["contract"][0], "0.1.0");
    assert_eq!(report["preinitialized"], true);
    assert_eq!(report["settings_schema"]["required"][0], "bulk-relay");
    assert_eq!(report["problem"], Value::Null);

    fs::write(dir.path().join("s.toml"), "bulk-relay = 5\n").expect("settings");
    let arguments = ["inspect", component, "--settings", "s.toml", "--json"];
    let output = waxseal(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let problem = &json(&output)["settings_problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&1.into(), &14.into())
    );

    fs::write(dir.path().join("no.wasm"), "no component").expect("a file");
    let output = waxseal(dir.path(), &["inspect", "no.wasm", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert!(report["problem"].is_string(), "{report}");
    assert_eq!(report["exports"], Value::Array(Vec::new()));
}
