//! Names swapped by another user between two system calls.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::super::root::is_root;
use super::*;

/// The user whom the folder belongs to in which root makes a file.
const DAEMON: u32 = 65534;

/// A folder of the daemon's user, beside a file and a folder of root's.
struct Given(tempfile::TempDir);

impl Given {
    /// None where other users cannot be acted as.
    fn new() -> Option<Self> {
        if !is_root("that files root makes are given to no wrong user") {
            return None;
        }
        let folder = tempfile::tempdir().expect("folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("chmod");
        let given = Self(folder);
        fs::create_dir(given.path("keys")).expect("folder");
        std::os::unix::fs::chown(given.path("keys"), Some(DAEMON), Some(DAEMON)).expect("chown");
        fs::create_dir(given.path("etc")).expect("folder");
        fs::write(given.path("etc/victim"), "root's").expect("file");
        Some(given)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs commands in the folder as its owner, who is not root.
    fn as_daemon(&self, commands: &str) {
        let status = Command::new("/bin/sh")
            .args(["-ec", commands])
            .current_dir(self.path("keys"))
            .uid(DAEMON)
            .gid(DAEMON)
            .status()
            .expect("sh");
        assert!(status.success(), "{commands}");
    }

    fn owner(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).expect("there").uid()
    }

    #[track_caller]
    fn nothing_of_roots_has_changed(&self) {
        assert_eq!((self.owner("etc"), self.owner("etc/victim")), (0, 0));
        let text = fs::read_to_string(self.path("etc/victim")).expect("there");
        assert_eq!(text, "root's");
        assert_eq!(fs::read_dir(self.path("etc")).expect("listed").count(), 1);
    }
}

/// Acts once at a step.
fn at(step: Step, mut act: impl FnMut()) -> impl FnMut(Step) {
    let mut done = false;
    move |reached| {
        if reached == step && !std::mem::replace(&mut done, true) {
            act();
        }
    }
}

type Make = fn(&Directory, &OsStr, &mut dyn FnMut(Step)) -> io::Result<()>;

const MAKES: [Make; 2] = [
    |directory, name, between| {
        directory.put(
            name,
            b"ours",
            FileMode::Exactly(0o600),
            Existing::Keep,
            between,
        )
    },
    |directory, name, between| {
        directory.put(
            name,
            b"ours",
            FileMode::Exactly(0o600),
            Existing::Replace,
            between,
        )
    },
];

#[test]
fn m3_what_root_makes_belongs_to_the_owner_of_the_folder() {
    let Some(given) = Given::new() else { return };
    let path = given.path("keys/acme.test/s1.pem");
    let (directory, name) = Directory::make_around(&path, 0o700).expect("made");
    directory
        .create(name, b"ours", FileMode::Exactly(0o600))
        .expect("created");
    let modes = ["keys/acme.test", "keys/acme.test/s1.pem"].map(|name| {
        let metadata = fs::metadata(given.path(name)).expect("there");
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    });
    assert_eq!(modes, [(DAEMON, DAEMON, 0o700), (DAEMON, DAEMON, 0o600)]);
    directory
        .replace(name, b"new", FileMode::Exactly(0o600))
        .expect("replaced");
    assert_eq!(given.owner("keys/acme.test/s1.pem"), DAEMON);
    let names = fs::read_dir(given.path("keys/acme.test")).expect("listed");
    assert_eq!(names.count(), 1, "no temporary file is left");
}

#[test]
fn m3_a_temporary_file_swapped_for_a_link_gives_nothing_away() {
    for (make, step) in MAKES
        .iter()
        .flat_map(|make| [Step::Written, Step::Owned].map(|step| (make, step)))
    {
        let Some(given) = Given::new() else { return };
        let directory = Directory::open(&given.path("keys")).expect("open");
        let swap = "for d in *.new; do mv \"$d\" kept; ln -s ../etc/victim \"$d\"; done";
        let made = make(
            &directory,
            OsStr::new("s1.pem"),
            &mut at(step, || given.as_daemon(swap)),
        );
        given.nothing_of_roots_has_changed();
        // The file itself gets the name, or it is reported that it did not.
        let text = fs::symlink_metadata(given.path("keys/s1.pem"))
            .ok()
            .filter(|metadata| metadata.is_file())
            .and_then(|_| fs::read(given.path("keys/s1.pem")).ok());
        assert_eq!(made.is_ok(), text.as_deref() == Some(b"ours"), "{made:?}");
    }
}

#[test]
fn m3_a_folder_swapped_while_a_file_is_made_gives_nothing_away() {
    for make in MAKES {
        let Some(given) = Given::new() else { return };
        given.as_daemon("mkdir acme.test");
        let directory = Directory::open(&given.path("keys/acme.test")).expect("open");
        let swap = "mv acme.test gone; ln -s ../etc acme.test";
        let mut between = at(Step::Written, || given.as_daemon(swap));
        make(&directory, OsStr::new("s1.pem"), &mut between).expect("made");
        given.nothing_of_roots_has_changed();
        assert_eq!(given.owner("keys/gone/s1.pem"), DAEMON);
    }
}

#[test]
fn m3_a_new_folder_swapped_for_another_is_not_given_away() {
    let swaps = [
        "rmdir acme.test; ln -s ../etc acme.test",
        // Root's, and not empty: a rename in one folder is the daemon's right.
        "rmdir acme.test; mv of-root acme.test",
        // The daemon's own.
        "rmdir acme.test; mkdir acme.test",
    ];
    for swap in swaps {
        let Some(given) = Given::new() else { return };
        fs::create_dir(given.path("keys/of-root")).expect("folder");
        fs::write(given.path("keys/of-root/secret"), "x").expect("file");
        let mut between = at(Step::FolderMade, || given.as_daemon(swap));
        let path = given.path("keys/acme.test");
        Directory::make_with(&path, 0o700, &mut between).expect_err("refused");
        given.nothing_of_roots_has_changed();
        let secret = ["keys/of-root/secret", "keys/acme.test/secret"]
            .iter()
            .find_map(|name| fs::symlink_metadata(given.path(name)).ok());
        assert_eq!(secret.map(|secret| secret.uid()), Some(0), "{swap}");
        for name in ["keys/of-root", "keys/acme.test"] {
            let folder = fs::symlink_metadata(given.path(name)).ok();
            let folder = folder.filter(|_| given.path(name).join("secret").exists());
            assert!(folder.is_none_or(|folder| folder.uid() == 0), "{swap}");
        }
    }
}

#[test]
fn m3_a_new_folder_swapped_once_it_is_open_is_the_one_that_changes_owner() {
    let Some(given) = Given::new() else { return };
    let swap = "mv acme.test gone; ln -s ../etc acme.test";
    let mut between = at(Step::FolderOpen, || given.as_daemon(swap));
    let made = Directory::make_with(&given.path("keys/acme.test"), 0o700, &mut between);
    let directory = made.expect("made");
    directory
        .create(OsStr::new("s1.pem"), b"ours", FileMode::Exactly(0o600))
        .expect("created");
    given.nothing_of_roots_has_changed();
    assert_eq!(given.owner("keys/gone/s1.pem"), DAEMON);
}

#[test]
fn m3_root_follows_no_link_of_another_user() {
    let Some(given) = Given::new() else { return };
    given.as_daemon("ln -s ../etc acme.test");
    for path in ["keys/acme.test", "keys/acme.test/below"] {
        let refused = Directory::make(&given.path(path), 0o700).expect_err("refused");
        assert!(
            refused.to_string().contains("symbolic link of user 65534"),
            "{refused}"
        );
    }
    given.nothing_of_roots_has_changed();
    symlink("keys", given.path("link")).expect("link");
    Directory::make(&given.path("link/globex.test"), 0o700).expect("root's own is followed");
    assert_eq!(given.owner("keys/globex.test"), DAEMON);
}
