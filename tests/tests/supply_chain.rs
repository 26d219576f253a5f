//! Licenses, sources and versions of all dependencies, held against `deny.toml`:
//! as much of cargo-deny as a machine without a network can check, and without
//! compiling it. `make deny` runs the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

#[derive(Deserialize)]
struct Deny {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    spec: String,
}

impl Skip {
    /// `name@1.2` stands for all versions of 1.2.
    fn is(&self, name: &str, version: &str) -> bool {
        self.spec.split_once('@').is_some_and(|(of, prefix)| {
            let rest = version.strip_prefix(prefix);
            of == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// What `cargo metadata` says, as far as it is wanted here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    source: Option<String>,
}

fn deny() -> Deny {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    let text = std::fs::read_to_string(path).expect("deny.toml");
    toml::from_str(&text).expect("deny.toml as this test reads it")
}

fn packages(deny: &Deny) -> Vec<Package> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--offline", "--format-version=1"]);
    for target in &deny.graph.targets {
        command.args(["--filter-platform", target]);
    }
    let output = command.output().expect("cargo");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("metadata");
    assert!(metadata.packages.len() > 200, "these are not all packages");
    metadata.packages
}

/// Dependencies alone: our own packages come from a path.
fn foreign(packages: &[Package]) -> impl Iterator<Item = &Package> {
    packages.iter().filter(|package| package.source.is_some())
}

fn licensees(names: &[String]) -> Vec<Licensee> {
    let parse = |name: &String| Licensee::parse(name).expect("a license of deny.toml");
    names.iter().map(parse).collect()
}

#[test]
fn l16_every_license_is_allowed() {
    let deny = deny();
    let allowed = licensees(&deny.licenses.allow);
    let packages = packages(&deny);
    let refused: Vec<String> = foreign(&packages)
        .filter(|package| {
            let exceptions = deny.licenses.exceptions.iter();
            let own = exceptions.filter(|exception| exception.name == package.name);
            let own: Vec<Licensee> = own
                .flat_map(|exception| licensees(&exception.allow))
                .collect();
            let license = package.license.as_deref().unwrap_or_default();
            Expression::parse_mode(license, ParseMode::LAX).map_or(true, |expression| {
                !expression.evaluate(|wanted| {
                    allowed
                        .iter()
                        .chain(&own)
                        .any(|licensee| licensee.satisfies(wanted))
                })
            })
        })
        .map(|package| {
            format!(
                "{} {}: {:?}",
                package.name, package.version, package.license
            )
        })
        .collect();
    assert!(refused.is_empty(), "no license of deny.toml: {refused:#?}");
}

#[test]
fn l16_everything_comes_from_the_one_registry() {
    let packages = packages(&deny());
    let sources: BTreeSet<&str> = foreign(&packages)
        .filter_map(|package| package.source.as_deref())
        .collect();
    let one = sources.len() == 1;
    let registry = sources.iter().all(|source| source.starts_with("registry+"));
    assert!(one && registry, "{sources:#?}");
}

#[test]
fn l16_a_duplicate_has_a_reason_and_a_reason_has_a_duplicate() {
    let deny = deny();
    let packages = packages(&deny);
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in foreign(&packages) {
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    let skip = |name: &str, version: &str| deny.bans.skip.iter().any(|skip| skip.is(name, version));
    let duplicates: Vec<String> = versions
        .iter()
        .filter(|(name, found)| found.iter().filter(|version| !skip(name, version)).count() > 1)
        .map(|(name, found)| format!("{name} {found:?}"))
        .collect();
    assert!(
        duplicates.is_empty(),
        "several versions, and no entry of bans.skip: {duplicates:#?}"
    );
    let needed = |skip: &&Skip| {
        versions.iter().any(|(name, found)| {
            found.len() > 1 && found.iter().any(|version| skip.is(name, version))
        })
    };
    let idle: Vec<&str> = deny
        .bans
        .skip
        .iter()
        .filter(|skip| !needed(skip))
        .map(|skip| skip.spec.as_str())
        .collect();
    assert!(idle.is_empty(), "no longer needed in bans.skip: {idle:?}");
}

#[test]
fn l16_there_is_one_aws_lc() {
    let packages = packages(&deny());
    let libraries: Vec<&str> = foreign(&packages)
        .filter(|package| package.name == "aws-lc-sys")
        .map(|package| package.version.as_str())
        .collect();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
}

#[test]
fn l16_no_dependency_takes_any_version() {
    let packages = packages(&deny());
    let own = packages.iter().filter(|package| package.source.is_none());
    let any: Vec<String> = own
        .flat_map(|package| {
            let wild =
                |dependency: &&Dependency| dependency.req == "*" && dependency.source.is_some();
            let named =
                |dependency: &Dependency| format!("{} of {}", dependency.name, package.name);
            package.dependencies.iter().filter(wild).map(named)
        })
        .collect();
    assert!(any.is_empty(), "{any:?}");
}
