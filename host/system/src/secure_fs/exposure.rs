//! Check for files that other users can change, directly or by a folder on the
//! path.
//!
//! A user who can write to a folder can replace every file in it. Therefore each
//! folder up to the root of the file system is checked as the file is, and so are
//! symbolic links on the path.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::accounts::Accounts;

/// Largest number of symbolic links on one path, as in the kernel.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;

/// A file or folder that another user can change. `Display` describes it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exposure {
    /// The file or folder.
    pub path: PathBuf,
    /// The files of the configuration that it is, or whose paths it is part of.
    pub of: Vec<String>,
    who: Who,
    mode: u32,
    folder: bool,
    /// The command that fixes it; empty if there is none.
    pub remedy: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Everybody,
    Group(String),
    Owner(String),
    /// It is missing, and every user can create it.
    Creator,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, of) = (self.mode, self.of.join(", "));
        let what = if self.folder {
            "this folder"
        } else {
            "this file"
        };
        match &self.who {
            Who::Everybody => write!(
                f,
                "every user of this machine can write to {what} (mode {mode:04o})"
            )?,
            Who::Group(group) => write!(f, "group {group} can write to {what} (mode {mode:04o})")?,
            Who::Owner(owner) => write!(f, "{what} belongs to user {owner}")?,
            Who::Creator => write!(
                f,
                "this file is missing, and every user of this machine can create it"
            )?,
        }
        write!(
            f,
            ", which is part of the path of {of}: who can change it controls what is signed and sent"
        )
    }
}

/// A check of paths, which collects what other users can change.
#[derive(Debug)]
pub struct ExposureCheck {
    accounts: Accounts,
    trusted: BTreeSet<u32>,
    found: BTreeMap<PathBuf, Exposure>,
}

impl ExposureCheck {
    /// A check that trusts root, the user of this process, and the owner of `state`:
    /// an administrator who runs the check as root is not the daemon's user.
    pub fn new(state: &Path) -> Self {
        let mut trusted = BTreeSet::from([0, rustix::process::geteuid().as_raw()]);
        trusted.extend(fs::metadata(state).map(|metadata| metadata.uid()));
        Self {
            accounts: Accounts::of_system(),
            trusted,
            found: BTreeMap::new(),
        }
    }

    /// Checks a path and every folder and link on it. `what` names the file in the
    /// administrator's terms.
    pub fn add_path(&mut self, path: &Path, what: &str) {
        let Ok(path) = std::path::absolute(path) else {
            return;
        };
        let mut left: Vec<Option<OsString>> = steps(&path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        let mut open = self.examine(&at, what).is_some_and(|kind| kind.open);
        while let Some(step) = left.pop() {
            let Some(name) = step else {
                at.pop();
                continue;
            };
            at.push(name);
            match self.examine(&at, what) {
                Some(Kind {
                    link: Some(target), ..
                }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return;
                    }
                    at.pop();
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(steps(&target));
                }
                Some(kind) => open = kind.open,
                None => {
                    if open {
                        self.add(&at, Who::Creator, 0, what, String::new());
                    }
                    return;
                }
            }
        }
    }

    /// The exposures found, in the order of paths.
    pub fn finish(self) -> impl Iterator<Item = Exposure> {
        self.found.into_values()
    }

    /// Checks one file, folder or link; `None` if it does not exist.
    fn examine(&mut self, path: &Path, what: &str) -> Option<Kind> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // Not accessible to us: nothing is known, so nothing is reported.
            Err(_) => return Some(Kind::default()),
        };
        let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        let shown = path.display();
        if !self.trusted.contains(&owner) {
            let who = Who::Owner(self.accounts.user(owner));
            self.add(path, who, mode, what, format!("chown -h root '{shown}'"));
        }
        if metadata.is_symlink() {
            return Some(Kind {
                link: Some(fs::read_link(path).unwrap_or_default()),
                open: false,
            });
        }
        let everybody = mode & 0o002 != 0;
        let by_group = mode & 0o020 != 0 && !self.accounts.is_own_group(group, owner);
        // In a sticky folder, users cannot replace files of other users.
        let sticky = metadata.is_dir() && mode & STICKY != 0;
        if !sticky && everybody {
            let remedy = format!("chmod o-w '{shown}'");
            self.add(path, Who::Everybody, mode, what, remedy);
        } else if !sticky && by_group {
            let who = Who::Group(self.accounts.group(group));
            self.add(path, who, mode, what, format!("chmod g-w '{shown}'"));
        }
        Some(Kind {
            link: None,
            open: sticky && (everybody || by_group),
        })
    }

    fn add(&mut self, path: &Path, who: Who, mode: u32, what: &str, remedy: String) {
        let folder = path.is_dir();
        let known = self.found.entry(path.to_owned()).or_insert(Exposure {
            path: path.to_owned(),
            of: Vec::new(),
            who,
            mode,
            folder,
            remedy,
        });
        if !known.of.iter().any(|of| of == what) {
            known.of.push(what.to_owned());
        }
    }
}

/// One component of a path.
#[derive(Default)]
struct Kind {
    /// The target of a symbolic link.
    link: Option<PathBuf>,
    /// A sticky folder in which other users can create files.
    open: bool,
}

/// The components of a path, the last one first; `None` is `..`.
fn steps(path: &Path) -> impl Iterator<Item = Option<OsString>> {
    path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(Some(name.to_owned())),
        Component::ParentDir => Some(None),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::root::is_root;
    use super::*;

    /// A folder of files; root's or ours, and nobody else's.
    struct Given(tempfile::TempDir);

    impl Given {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            fs::create_dir_all(folder.path().join("etc/policy")).expect("folders");
            for name in ["etc/waxseal.toml", "etc/policy/policy.wasm"] {
                fs::write(folder.path().join(name), "x").expect("file");
                set(&folder.path().join(name), 0o644);
            }
            for name in ["etc", "etc/policy"] {
                set(&folder.path().join(name), 0o755);
            }
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Path, cause and mode of what other users can change.
        fn found(&self, name: &str) -> Vec<(PathBuf, Who, u32)> {
            let mut check = ExposureCheck::new(Path::new("/nonexistent"));
            check.add_path(&self.path(name), "the policy");
            let found = check.finish().inspect(|found| {
                assert_eq!(found.of, ["the policy"]);
                let text = found.to_string();
                let mode = format!("(mode {:04o})", found.mode);
                assert!(
                    found.mode == 0 || matches!(found.who, Who::Owner(_)) || text.contains(&mode),
                    "{text}"
                );
            });
            found
                .map(|found| (found.path, found.who, found.mode))
                .collect()
        }
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn l7_a_file_that_its_owner_alone_can_write_is_not_exposed() {
        let given = Given::new();
        assert_eq!(given.found("etc/policy/policy.wasm"), []);
        // Missing, in a folder of our own.
        assert_eq!(given.found("etc/policy/missing"), []);
    }

    #[test]
    fn l7_each_folder_on_the_way_counts_and_is_named_with_its_mode() {
        for (name, mode) in [
            ("etc/policy/policy.wasm", 0o646),
            ("etc/policy", 0o757),
            ("etc", 0o777),
        ] {
            let given = Given::new();
            set(&given.path(name), mode);
            let expected = [(given.path(name), Who::Everybody, mode)];
            assert_eq!(given.found("etc/policy/policy.wasm"), expected);
        }
    }

    #[test]
    fn l7_a_group_counts_unless_it_is_the_owners_own() {
        let mut check = ExposureCheck::new(Path::new("/nonexistent"));
        let given = Given::new();
        set(&given.path("etc"), 0o775);
        let metadata = fs::metadata(given.path("etc")).expect("there");
        let (user, group) = (metadata.uid(), metadata.gid());
        check.accounts = Accounts::parse(
            &format!("us:x:{user}:{group}::/:/bin/sh\n"),
            &format!("us:x:{group}:\n"),
        );
        check.add_path(&given.path("etc/waxseal.toml"), "waxseal.toml");
        assert!(check.found.is_empty(), "{:?}", check.found);
        check.accounts = Accounts::parse(
            &format!("us:x:{user}:{group}::/:/bin/sh\n"),
            &format!("staff:x:{group}:us,eve\n"),
        );
        check.add_path(&given.path("etc/waxseal.toml"), "waxseal.toml");
        let found: Vec<_> = check.finish().collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].who, Who::Group("staff".to_owned()));
        assert!(found[0].remedy.starts_with("chmod g-w "), "{found:?}");
    }

    #[test]
    fn l7_in_a_sticky_folder_what_is_ours_is_safe_and_what_is_missing_is_not() {
        let given = Given::new();
        set(&given.path("etc"), 0o1777);
        assert_eq!(given.found("etc/waxseal.toml"), []);
        let missing = [(given.path("etc/state"), Who::Creator, 0)];
        assert_eq!(given.found("etc/state"), missing);
        if !is_root("what belongs to another user in a sticky folder") {
            return;
        }
        std::os::unix::fs::chown(given.path("etc/waxseal.toml"), Some(65534), None).expect("chown");
        let found = given.found("etc/waxseal.toml");
        assert!(
            matches!(found.as_slice(), [(_, Who::Owner(_), 0o644)]),
            "{found:?}"
        );
    }

    #[test]
    fn l7_a_symbolic_link_is_followed_and_its_target_looked_at() {
        let given = Given::new();
        set(&given.path("etc/policy"), 0o777);
        symlink("etc/policy/policy.wasm", given.path("link.wasm")).expect("link");
        let expected = [(given.path("etc/policy"), Who::Everybody, 0o777)];
        assert_eq!(given.found("link.wasm"), expected);
        // A circle ends.
        symlink("circle", given.path("circle")).expect("link");
        assert_eq!(given.found("circle"), []);
    }

    #[test]
    fn l7_the_owner_of_the_state_folder_is_the_daemons_user() {
        if !is_root("files of the daemon's user") {
            return;
        }
        let given = Given::new();
        fs::create_dir(given.path("state")).expect("folder");
        let nobody = Some(65534);
        std::os::unix::fs::chown(given.path("state"), nobody, None).expect("chown");
        let file = given.path("etc/waxseal.toml");
        std::os::unix::fs::chown(&file, nobody, None).expect("chown");
        let mut check = ExposureCheck::new(&given.path("state"));
        check.add_path(&file, "waxseal.toml");
        assert_eq!(check.finish().count(), 0);
        assert_eq!(given.found("etc/waxseal.toml").len(), 1);
    }
}
