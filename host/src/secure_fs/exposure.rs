//! Files that other users could change, by themselves or by a folder on the way
//! to them.
//!
//! Whoever can write a folder can put another file in the place of any in it, so
//! each folder up to the root of the file system counts as much as the file, and
//! so do symbolic links on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::accounts::Accounts;

/// Symbolic links that one path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;

const STICKY: u32 = 0o1000;

/// A file or folder that somebody else can change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What it is on the way to.
    pub(crate) of: Vec<String>,
    who: Who,
    mode: u32,
    folder: bool,
    /// The command that takes the permission away.
    pub(crate) remedy: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Everybody,
    Group(String),
    Owner(String),
    /// It is not there, and everybody can make it.
    Maker,
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
            Who::Maker => write!(
                f,
                "every user of this machine can make what is missing here"
            )?,
        }
        write!(
            f,
            ", which is or leads to {of}: whoever changes it decides what is signed and sent"
        )
    }
}

/// Looks at paths, and collects what others could change.
pub(crate) struct Watch {
    accounts: Accounts,
    trusted: BTreeSet<u32>,
    found: BTreeMap<PathBuf, Exposure>,
}

impl Watch {
    /// Trusts root, the user who runs this, and the owner of `state`: an
    /// administrator who checks as root is not the user who runs the daemon.
    pub(crate) fn new(state: &Path) -> Self {
        let mut trusted = BTreeSet::from([0, rustix::process::geteuid().as_raw()]);
        trusted.extend(fs::metadata(state).map(|metadata| metadata.uid()));
        Self {
            accounts: Accounts::of_system(),
            trusted,
            found: BTreeMap::new(),
        }
    }

    /// Looks at a path and everything on the way to it. `what` is how the
    /// administrator knows it.
    pub(crate) fn look(&mut self, path: &Path, what: &str) {
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
                    if links > MOST_LINKS {
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
                        self.add(&at, Who::Maker, 0, what, String::new());
                    }
                    return;
                }
            }
        }
    }

    /// What others could change, in the order of paths.
    pub(crate) fn found(self) -> impl Iterator<Item = Exposure> {
        self.found.into_values()
    }

    /// Looks at one file, folder or link; none where it is not there, or not
    /// to be seen.
    fn examine(&mut self, path: &Path, what: &str) -> Option<Kind> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // Not to be seen by us: nothing is known, and nothing is claimed.
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
        // In a sticky folder nobody can replace what belongs to another user.
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

/// What was found at a step of a path.
#[derive(Default)]
struct Kind {
    /// Where the link points, if it is one.
    link: Option<PathBuf>,
    /// A sticky folder in which others can make files.
    open: bool,
}

/// The steps of a path, last one first; none is a step up.
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

        fn texts(&self, name: &str) -> Vec<String> {
            let mut watch = Watch::new(Path::new("/nonexistent"));
            watch.look(&self.path(name), "the policy");
            let text = |found: Exposure| format!("{}: {found}", found.path.display());
            watch.found().map(text).collect()
        }
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn l7_a_file_that_its_owner_alone_can_write_is_not_exposed() {
        let given = Given::new();
        assert_eq!(given.texts("etc/policy/policy.wasm"), [""; 0]);
        // Missing, in a folder of our own.
        assert_eq!(given.texts("etc/policy/missing"), [""; 0]);
    }

    #[test]
    fn l7_each_folder_on_the_way_counts_and_is_named_with_its_mode() {
        for (name, mode, who) in [
            (
                "etc/policy/policy.wasm",
                0o646,
                "every user of this machine can write to this file",
            ),
            (
                "etc/policy",
                0o757,
                "every user of this machine can write to this folder",
            ),
            (
                "etc",
                0o777,
                "every user of this machine can write to this folder",
            ),
        ] {
            let given = Given::new();
            set(&given.path(name), mode);
            let texts = given.texts("etc/policy/policy.wasm");
            assert_eq!(texts.len(), 1, "{texts:?}");
            let path = given.path(name);
            assert!(
                texts[0].starts_with(&format!("{}: {who} (mode {mode:04o})", path.display()))
                    && texts[0].contains("leads to the policy"),
                "{texts:?}"
            );
        }
    }

    #[test]
    fn l7_a_group_counts_unless_it_is_the_owners_own() {
        let mut watch = Watch::new(Path::new("/nonexistent"));
        let given = Given::new();
        set(&given.path("etc"), 0o775);
        let metadata = fs::metadata(given.path("etc")).expect("there");
        let (user, group) = (metadata.uid(), metadata.gid());
        watch.accounts = Accounts::parse(
            &format!("us:x:{user}:{group}::/:/bin/sh\n"),
            &format!("us:x:{group}:\n"),
        );
        watch.look(&given.path("etc/waxseal.toml"), "waxseal.toml");
        assert!(watch.found.is_empty(), "{:?}", watch.found);
        watch.accounts = Accounts::parse(
            &format!("us:x:{user}:{group}::/:/bin/sh\n"),
            &format!("staff:x:{group}:us,eve\n"),
        );
        watch.look(&given.path("etc/waxseal.toml"), "waxseal.toml");
        let found: Vec<_> = watch.found().collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let text = found[0].to_string();
        assert!(
            text.starts_with("group staff can write to this folder "),
            "{text}"
        );
        assert!(found[0].remedy.starts_with("chmod g-w "), "{found:?}");
    }

    #[test]
    fn l7_in_a_sticky_folder_what_is_ours_is_safe_and_what_is_missing_is_not() {
        let given = Given::new();
        set(&given.path("etc"), 0o1777);
        assert_eq!(given.texts("etc/waxseal.toml"), [""; 0]);
        let texts = given.texts("etc/state");
        assert!(
            texts.len() == 1 && texts[0].contains("every user of this machine can make what"),
            "{texts:?}"
        );
        if !is_root("what belongs to another user in a sticky folder") {
            return;
        }
        std::os::unix::fs::chown(given.path("etc/waxseal.toml"), Some(65534), None).expect("chown");
        let texts = given.texts("etc/waxseal.toml");
        assert!(
            texts.len() == 1 && texts[0].contains("belongs to user "),
            "{texts:?}"
        );
    }

    #[test]
    fn l7_a_symbolic_link_is_followed_and_its_target_looked_at() {
        let given = Given::new();
        set(&given.path("etc/policy"), 0o777);
        symlink("etc/policy/policy.wasm", given.path("link.wasm")).expect("link");
        let texts = given.texts("link.wasm");
        assert!(
            texts.len() == 1
                && texts[0].contains("etc/policy: ")
                && texts[0].contains("(mode 0777)"),
            "{texts:?}"
        );
        // A circle ends.
        symlink("circle", given.path("circle")).expect("link");
        assert_eq!(given.texts("circle"), [""; 0]);
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
        let mut watch = Watch::new(&given.path("state"));
        watch.look(&file, "waxseal.toml");
        assert_eq!(watch.found().count(), 0);
        assert_eq!(given.texts("etc/waxseal.toml").len(), 1);
    }
}
