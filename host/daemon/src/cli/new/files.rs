//! Embedded files of a new policy project.

use super::language::Language;

/// A file of a new project: its path and its text.
pub(super) type File = (&'static str, &'static str);

/// Embeds a file.
macro_rules! file {
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../../", $from)))
    };
}

const COMMON: [File; 7] = [
    file!("README.md", "templates/common/README.md"),
    file!("settings.toml", "templates/common/settings.toml"),
    file!("tests/policy.toml", "templates/common/tests/policy.toml"),
    file!("tests/letter.eml", "templates/common/tests/letter.eml"),
    file!(
        "tests/newsletter.eml",
        "templates/common/tests/newsletter.eml"
    ),
    file!("tests/program.eml", "templates/common/tests/program.eml"),
    file!("wit/policy.wit", "templates/kit/wit/policy.wit"),
];

const RUST: [File; 6] = [
    file!("Cargo.toml", "templates/rust/package.toml"),
    file!("Makefile", "templates/rust/Makefile"),
    file!(".gitignore", "templates/rust/gitignore"),
    file!(".cargo/config.toml", "templates/rust/cargo.toml"),
    file!("src/lib.rs", "templates/rust/src/lib.rs"),
    file!("rust-toolchain.toml", "templates/kit/rust-toolchain.toml"),
];

const JAVASCRIPT: [File; 9] = [
    file!("policy.js", "templates/javascript/policy.js"),
    file!("Makefile", "templates/javascript/Makefile"),
    file!(".gitignore", "templates/javascript/gitignore"),
    file!(".npmrc", "templates/javascript/npmrc"),
    file!("waxseal.js", "templates/kit/plugin/javascript/waxseal.js"),
    file!("settings.js", "templates/kit/plugin/javascript/settings.js"),
    file!("build.mjs", "templates/kit/plugin/javascript/build.mjs"),
    file!(
        "package.json",
        "templates/kit/plugin/javascript/package.json"
    ),
    file!(
        "package-lock.json",
        "templates/kit/plugin/javascript/package-lock.json"
    ),
];

const PYTHON: [File; 6] = [
    file!("policy.py", "templates/python/policy.py"),
    file!("Makefile", "templates/python/Makefile"),
    file!(".gitignore", "templates/python/gitignore"),
    file!("waxseal.py", "templates/kit/plugin/python/waxseal.py"),
    file!("settings.py", "templates/kit/plugin/python/settings.py"),
    file!(
        "requirements.txt",
        "templates/kit/plugin/python/requirements.txt"
    ),
];

/// Files of a policy in that language, without the Rust crates.
pub(super) fn of(language: Language) -> impl Iterator<Item = File> {
    let own: &[File] = match language {
        Language::Rust => &RUST,
        Language::Javascript => &JAVASCRIPT,
        Language::Python => &PYTHON,
    };
    COMMON.iter().chain(own).copied()
}

/// The end of the `Cargo.toml` of a project with a copy of the kit: the keys that
/// the kit's crates inherit from their workspace.
pub(super) const WORKSPACE: &str = include_str!("../../../templates/rust/workspace.toml");

/// The crates for policies in Rust. They are not in a registry, so a project has a
/// copy of them.
pub(super) const KIT: [File; 20] = [
    file!(
        "vendor/waxseal-policy/Cargo.toml",
        "templates/kit/plugin/sdk/package.toml"
    ),
    file!(
        "vendor/waxseal-policy/src/bindings.rs",
        "templates/kit/plugin/sdk/src/bindings.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/decision.rs",
        "templates/kit/plugin/sdk/src/decision.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/export.rs",
        "templates/kit/plugin/sdk/src/export.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/lib.rs",
        "templates/kit/plugin/sdk/src/lib.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/quiet_wasi.rs",
        "templates/kit/plugin/sdk/src/quiet_wasi.rs"
    ),
    file!(
        "vendor/waxseal-policy/wit/policy.wit",
        "templates/kit/plugin/sdk/wit/policy.wit"
    ),
    file!(
        "vendor/waxseal-policy/src/log.rs",
        "templates/kit/plugin/sdk/src/log.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/message.rs",
        "templates/kit/plugin/sdk/src/message.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/native.rs",
        "templates/kit/plugin/sdk/src/native.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/policy.rs",
        "templates/kit/plugin/sdk/src/policy.rs"
    ),
    file!(
        "vendor/waxseal-settings/Cargo.toml",
        "templates/kit/plugin/settings/package.toml"
    ),
    file!(
        "vendor/waxseal-settings/src/asked.rs",
        "templates/kit/plugin/settings/src/asked.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/lib.rs",
        "templates/kit/plugin/settings/src/lib.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/position.rs",
        "templates/kit/plugin/settings/src/position.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/problem.rs",
        "templates/kit/plugin/settings/src/problem.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/read.rs",
        "templates/kit/plugin/settings/src/read.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/suggest.rs",
        "templates/kit/plugin/settings/src/suggest.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/table.rs",
        "templates/kit/plugin/settings/src/table.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/tests.rs",
        "templates/kit/plugin/settings/src/tests.rs"
    ),
];
