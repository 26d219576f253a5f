//! Embedded files of a new policy project.

use super::language::Language;

/// A file of a new project: its path and its text.
pub(super) type File = (&'static str, &'static str);

/// Embeds a file.
macro_rules! file {
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../../../", $from)))
    };
}

const COMMON: [File; 7] = [
    file!("README.md", "host/templates/common/README.md"),
    file!("settings.toml", "host/templates/common/settings.toml"),
    file!(
        "tests/policy.toml",
        "host/templates/common/tests/policy.toml"
    ),
    file!("tests/letter.eml", "host/templates/common/tests/letter.eml"),
    file!(
        "tests/newsletter.eml",
        "host/templates/common/tests/newsletter.eml"
    ),
    file!(
        "tests/program.eml",
        "host/templates/common/tests/program.eml"
    ),
    file!("wit/policy.wit", "wit/policy.wit"),
];

const RUST: [File; 6] = [
    file!("Cargo.toml", "host/templates/rust/Cargo.toml"),
    file!("Makefile", "host/templates/rust/Makefile"),
    file!(".gitignore", "host/templates/rust/gitignore"),
    file!(".cargo/config.toml", "host/templates/rust/cargo.toml"),
    file!("src/lib.rs", "host/templates/rust/src/lib.rs"),
    file!("rust-toolchain.toml", "rust-toolchain.toml"),
];

const JAVASCRIPT: [File; 9] = [
    file!("policy.js", "host/templates/javascript/policy.js"),
    file!("Makefile", "host/templates/javascript/Makefile"),
    file!(".gitignore", "host/templates/javascript/gitignore"),
    file!(".npmrc", "host/templates/javascript/npmrc"),
    file!("waxseal.js", "plugin/javascript/waxseal.js"),
    file!("settings.js", "plugin/javascript/settings.js"),
    file!("build.mjs", "plugin/javascript/build.mjs"),
    file!("package.json", "plugin/javascript/package.json"),
    file!("package-lock.json", "plugin/javascript/package-lock.json"),
];

const PYTHON: [File; 6] = [
    file!("policy.py", "host/templates/python/policy.py"),
    file!("Makefile", "host/templates/python/Makefile"),
    file!(".gitignore", "host/templates/python/gitignore"),
    file!("waxseal.py", "plugin/python/waxseal.py"),
    file!("settings.py", "plugin/python/settings.py"),
    file!("requirements.txt", "plugin/python/requirements.txt"),
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

/// What a project with a copy of the kit has at the end of its `Cargo.toml`:
/// what the kit's crates take from their workspace.
pub(super) const WORKSPACE: &str = include_str!("../../../templates/rust/workspace.toml");

/// The crates that a policy in Rust is written with. They are not to be had from
/// a registry, so a project has a copy of them.
pub(super) const KIT: [File; 16] = [
    file!("vendor/waxseal-policy/Cargo.toml", "plugin/sdk/Cargo.toml"),
    file!(
        "vendor/waxseal-policy/src/bindings.rs",
        "plugin/sdk/src/bindings.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/decision.rs",
        "plugin/sdk/src/decision.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/export.rs",
        "plugin/sdk/src/export.rs"
    ),
    file!("vendor/waxseal-policy/src/lib.rs", "plugin/sdk/src/lib.rs"),
    file!(
        "vendor/waxseal-policy/src/quiet_wasi.rs",
        "plugin/sdk/src/quiet_wasi.rs"
    ),
    file!(
        "vendor/waxseal-policy/wit/policy.wit",
        "plugin/sdk/wit/policy.wit"
    ),
    file!("vendor/waxseal-policy/src/log.rs", "plugin/sdk/src/log.rs"),
    file!(
        "vendor/waxseal-policy/src/message.rs",
        "plugin/sdk/src/message.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/native.rs",
        "plugin/sdk/src/native.rs"
    ),
    file!(
        "vendor/waxseal-policy/src/policy.rs",
        "plugin/sdk/src/policy.rs"
    ),
    file!(
        "vendor/waxseal-settings/Cargo.toml",
        "plugin/settings/Cargo.toml"
    ),
    file!(
        "vendor/waxseal-settings/src/lib.rs",
        "plugin/settings/src/lib.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/suggest.rs",
        "plugin/settings/src/suggest.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/table.rs",
        "plugin/settings/src/table.rs"
    ),
    file!(
        "vendor/waxseal-settings/src/tests.rs",
        "plugin/settings/src/tests.rs"
    ),
];
