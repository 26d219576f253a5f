//! Writing the files of a new policy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::files::{self, File};
use super::language::Language;
use crate::cli::support::Status;
use waxseal_core::printable::Text;
use waxseal_system::secure_fs::{Directory, FileMode};

/// Create a new policy project that builds and whose tests pass
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Folder to create; its last component is the name of the policy
    folder: PathBuf,
    /// Language of the policy
    #[arg(long = "lang", value_name = "LANGUAGE", value_enum)]
    language: Language,
    /// Use the Rust crates of this Waxseal checkout instead of copies in the project
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made<'a> {
    folder: &'a Path,
    files: Vec<&'a str>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let Arguments {
        folder,
        language,
        sdk,
    } = arguments;
    if sdk.is_some() && *language != Language::Rust {
        bail!("--sdk requires --lang rust: policies in other languages use no crates");
    }
    let name = name(folder)?;
    let project = project(&name, *language, sdk.as_deref())?;
    write(folder, &project)?;
    if json {
        let files = project.iter().map(|(path, _)| *path).collect();
        out.json(&Made { folder, files })?;
    } else {
        let folder = folder.display();
        writeln!(
            out,
            "created {folder}, a policy in {}. Next:",
            language.name()
        )?;
        writeln!(out, "\n    cd {folder} && make test")?;
    }
    Ok(Status::Done)
}

/// The name of the policy: that of the folder, which must be a valid package name.
fn name(folder: &Path) -> anyhow::Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.context("the path has no folder name")?;
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        bail!(
            "invalid policy name \"{name}\"; expected: a lower-case letter followed by lower-case letters, digits and hyphens, such as \"my-policy\""
        );
    }
    // Crates that the policy depends on, and names reserved by Cargo.
    if [
        "waxseal-policy",
        "waxseal-settings",
        "test",
        "core",
        "std",
        "alloc",
    ]
    .contains(&name)
    {
        bail!(
            "invalid policy name \"{name}\": it is the name of a crate that the policy depends on; choose another name"
        );
    }
    Ok(name.to_owned())
}

/// The files of a project, with what stands for its name filled in.
fn project(
    name: &str,
    language: Language,
    sdk: Option<&Path>,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (policy_crate, settings_crate) = match sdk {
        None => (
            "vendor/waxseal-policy".into(),
            "vendor/waxseal-settings".into(),
        ),
        Some(checkout) => (
            in_checkout(checkout, "sdk")?,
            in_checkout(checkout, "settings")?,
        ),
    };
    let filled = |(path, text): File| {
        let filled = text
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{language}}", language.name())
            .replace("{{source}}", language.source())
            .replace("{{needs}}", language.needs())
            .replace("{{policy-crate}}", &policy_crate)
            .replace("{{settings-crate}}", &settings_crate);
        (path, filled)
    };
    let mut project: Vec<_> = files::of(language).map(filled).collect();
    if language == Language::Rust {
        let own = project.iter_mut().find(|(path, _)| *path == "Cargo.toml");
        if let Some((_, manifest)) = own {
            // A workspace of its own, wherever the project lies.
            manifest.push_str(if sdk.is_none() {
                files::WORKSPACE
            } else {
                "\n[workspace]\n"
            });
        }
        if sdk.is_none() {
            let kit = files::KIT
                .iter()
                .map(|(path, text)| (*path, (*text).to_owned()));
            project.extend(kit);
        }
    }
    Ok(project)
}

/// A crate of a checkout, for `Cargo.toml`.
fn in_checkout(checkout: &Path, name: &str) -> anyhow::Result<String> {
    let folder = checkout.join("plugin").join(name);
    let expected = "--sdk takes a checkout of Waxseal";
    let folder = fs::canonicalize(&folder)
        .with_context(|| format!("{expected}, which has {}", folder.display()))?;
    let path = folder
        .to_str()
        .with_context(|| format!("{expected} whose path is UTF-8"))?;
    if path.contains(['"', '\\']) {
        bail!("{expected} whose path has no quotes and backslashes");
    }
    Ok(path.to_owned())
}

/// Writes a project into a folder that is not there yet.
fn write(folder: &Path, project: &[(&str, String)]) -> anyhow::Result<()> {
    let shown = folder.display();
    let made = Directory::around(folder).and_then(|(around, name)| around.make_new(name, 0o777));
    let made = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{shown} exists already: nothing was written; name a folder that does not")
        }
        made => made.with_context(|| format!("making the folder {shown}"))?,
    };
    let written = project.iter().try_for_each(|(path, text)| {
        let (directory, name) = made.make_below(Path::new(path), 0o777)?;
        directory.create(name, text.as_bytes(), FileMode::Usual)
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
    }
    written.with_context(|| format!("writing into the folder {shown}"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use std::collections::BTreeSet;

    use super::*;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(path)
    }

    #[test]
    fn r29_nothing_is_left_to_be_filled_in() {
        for language in Language::value_variants() {
            for (path, text) in project("my-policy", *language, None).expect("a project") {
                assert!(!text.contains("{{"), "{path}");
            }
        }
    }

    /// The embedded kit has each file of the crates.
    #[test]
    fn r29_the_kit_is_whole() {
        for (folder, to) in [
            ("plugin/sdk", "waxseal-policy"),
            ("plugin/settings", "waxseal-settings"),
        ] {
            let sources = fs::read_dir(repository(folder).join("src")).expect("sources");
            let sources: BTreeSet<String> = sources
                .map(|entry| entry.expect("an entry").file_name())
                .map(|name| format!("vendor/{to}/src/{}", name.to_string_lossy()))
                .collect();
            let within = format!("vendor/{to}/src/");
            let kit = files::KIT.iter().map(|(path, _)| (*path).to_owned());
            let kit: BTreeSet<String> = kit.filter(|path| path.starts_with(&within)).collect();
            assert_eq!(kit, sources);
        }
    }

    /// What the kit's crates take from their workspace is what they have here.
    #[test]
    fn r29_the_kit_is_built_with_the_same_dependencies() {
        let ours = fs::read_to_string(repository("Cargo.toml")).expect("Cargo.toml");
        let dependencies = files::WORKSPACE.split("[workspace.dependencies]").nth(1);
        let dependencies = dependencies.expect("a table").split("\n[").next();
        let lines = dependencies
            .expect("lines")
            .lines()
            .filter(|line| !line.is_empty());
        for line in lines {
            assert!(ours.contains(line), "{line}");
        }
    }

    #[test]
    fn r29_a_folder_that_exists_is_left_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("mine");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("policy.js"), "mine").expect("a file");
        let project = project("mine", Language::Javascript, None).expect("a project");
        let error = write(&folder, &project).expect_err("a rejection");
        assert!(format!("{error:#}").contains("exists"), "{error:#}");
        assert_eq!(
            fs::read_to_string(folder.join("policy.js")).expect("it"),
            "mine"
        );
        assert_eq!(fs::read_dir(folder).expect("it").count(), 1);
    }

    #[test]
    fn r29_names_that_no_package_can_have_are_refused() {
        for bad in ["My-Policy", "1st", "a b", "a/..", "waxseal-policy", "größe"] {
            assert!(name(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(name(Path::new("some/where/a-1")).expect("a name"), "a-1");
    }
}
