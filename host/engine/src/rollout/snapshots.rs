//! What has to survive a restart: which version was in service although the
//! files say another, and copies of what it was made from.
//!
//! A folder only its owner can look into holds the copies, each under its own
//! digest, and one note. A copy whose bytes do not have the digest that it is
//! named by is not used. What no version that is kept needs is removed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::Config;
use crate::pipeline::{InputDigests, digest_hex};
use waxseal_system::input_file;
use waxseal_system::secure_fs::{self, PrivateFileError};

/// Name of the note. No digest is called that.
const NOTE: &str = "in-service.json";

/// That a version is in service although the files say another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pin {
    /// What the files contained that are not in service; none where they could
    /// not be read. When they contain anything else, they are tried again.
    pub instead_of: Option<InputDigests>,
    /// What is in service.
    pub inputs: InputDigests,
    /// Why.
    pub because: PinReason,
    /// Since when.
    pub since: Timestamp,
}

/// Why the files are not what is in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinReason {
    /// They were refused.
    Refused,
    /// Others were put in service by command.
    Swapped,
    /// Somebody went back from them, or from what replaced them.
    RolledBack,
    /// They, or what replaced them, failed too often.
    Failed,
}

impl PinReason {
    /// The same for people, about the policy that `waxseal.toml` names.
    pub fn text(self) -> &'static str {
        match self {
            Self::Refused => "it was refused",
            Self::Swapped => "another one was put in service by command",
            Self::RolledBack => "a rollback went back from it",
            Self::Failed => "the host went back from it, since too many messages failed",
        }
    }
}

/// Why something could not be remembered, or is not used.
#[derive(Debug, Error)]
pub(super) enum SnapshotError {
    /// The folder or the note.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// A copy.
    #[error("{}: {error}", .path.display())]
    Copy {
        /// Its path, or that of the original.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A copy is not there, and its original may have changed.
    #[error("there is no copy of what has the digest {digest}")]
    Gone {
        /// The digest.
        digest: String,
    },
    /// A copy does not contain what it should.
    #[error("{} is damaged: its sha256 is not {digest}", .path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What it should contain.
        digest: String,
    },
    /// The note cannot be read.
    #[error("{}: {error}", .path.display())]
    Note {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// What files contained when they were read: a file may be another by the time
/// that it is in service.
pub(super) struct InputFiles {
    pub(super) inputs: InputDigests,
    contents: HashMap<String, Vec<u8>>,
}

impl InputFiles {
    /// Reads the files that a configuration names; none where one cannot be
    /// read. Why is found out, and told, where the version is built.
    pub(super) fn read(config: &Config) -> Option<Self> {
        let mut contents = HashMap::new();
        let inputs = InputDigests::read_each(config, |digest, bytes| {
            contents.insert(digest.to_owned(), bytes);
        });
        let inputs = inputs.ok()?;
        Some(Self { inputs, contents })
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct SnapshotStore {
    folder: PathBuf,
}

impl SnapshotStore {
    pub(super) fn new(state: &Path) -> Self {
        Self {
            folder: state.join("policies"),
        }
    }

    /// Reads the note, if there is one.
    pub(super) fn pin(&self) -> Result<Option<Pin>, SnapshotError> {
        let path = self.folder.join(NOTE);
        if !path.exists() {
            return Ok(None);
        }
        secure_fs::folder(&self.folder)?;
        let bytes = secure_fs::read(&path)?;
        match serde_json::from_slice(&bytes) {
            Ok(kept) => Ok(Some(kept)),
            Err(error) => Err(SnapshotError::Note { path, error }),
        }
    }

    /// Writes the note, or takes it away.
    pub(super) fn set_pin(&self, kept: Option<&Pin>) -> Result<(), SnapshotError> {
        let path = self.folder.join(NOTE);
        let failed = |error| SnapshotError::Copy {
            path: path.clone(),
            error,
        };
        let Some(kept) = kept else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        };
        secure_fs::folder(&self.folder)?;
        let text = serde_json::to_vec_pretty(kept).map_err(|error| SnapshotError::Note {
            path: path.clone(),
            error,
        })?;
        secure_fs::replace(&path, &text).map_err(failed)
    }

    /// Keeps copies of these inputs: of what was read just now, or those that
    /// are there already.
    pub(super) fn put(
        &self,
        inputs: &InputDigests,
        taken: Option<&InputFiles>,
    ) -> Result<(), SnapshotError> {
        secure_fs::folder(&self.folder)?;
        for digest in digests(inputs) {
            let path = self.folder.join(digest);
            if path.exists() {
                continue;
            }
            let Some(bytes) = taken.and_then(|taken| taken.contents.get(digest)) else {
                let digest = digest.to_owned();
                return Err(SnapshotError::Gone { digest });
            };
            match secure_fs::create(&path, bytes) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(SnapshotError::Copy { path, error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The same configuration with copies in place of the files, which have to
    /// be whole.
    pub(super) fn config_from_snapshot(
        &self,
        config: &Config,
        inputs: &InputDigests,
    ) -> Result<Config, SnapshotError> {
        secure_fs::folder(&self.folder)?;
        let mut config = config.clone();
        config.policy.file = self.whole(&inputs.component)?;
        config.policy.settings = match &inputs.settings {
            Some(digest) => Some(self.whole(digest)?),
            None => None,
        };
        for table in &mut config.tables {
            // A table that came later is read from its file.
            if let Some(digest) = inputs.tables.get(&table.name) {
                table.file = self.whole(digest)?;
            }
        }
        Ok(config)
    }

    /// The same, and it is said aloud; none where it cannot be had.
    pub(super) fn log_config_from_snapshot(&self, config: &Config, kept: &Pin) -> Option<Config> {
        match self.config_from_snapshot(config, &kept.inputs) {
            Ok(instead) => {
                tracing::warn!(
                    "the policy {} is not in service: {}. What was in service on {:.0} is, until \
                     the files change",
                    config.policy.file.display(),
                    kept.because.text(),
                    kept.since,
                );
                Some(instead)
            }
            Err(error) => {
                tracing::error!(
                    "what was in service on {:.0} cannot be put in service again, so the files \
                     are: {error}",
                    kept.since,
                );
                None
            }
        }
    }

    /// Removes all copies that none of these need.
    pub(super) fn gc(&self, needed: &[InputDigests]) {
        let needed: BTreeSet<&str> = needed.iter().flat_map(digests).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(is_digest);
            if ours && !name.to_str().is_some_and(|name| needed.contains(name)) {
                // What stays is a little space, and goes the next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn whole(&self, digest: &str) -> Result<PathBuf, SnapshotError> {
        let path = self.folder.join(digest);
        let bytes =
            input_file::read(&path, input_file::COPY).map_err(|error| SnapshotError::Copy {
                path: path.clone(),
                error,
            })?;
        if !is_digest(digest) || digest_hex(&bytes) != digest {
            // Out of the way of a whole one.
            let _ = fs::remove_file(&path);
            let digest = digest.to_owned();
            return Err(SnapshotError::Differs { path, digest });
        }
        Ok(path)
    }
}

fn digests(inputs: &InputDigests) -> impl Iterator<Item = &str> {
    let others = inputs.settings.iter().chain(inputs.tables.values());
    std::iter::once(&inputs.component)
        .chain(others)
        .map(String::as_str)
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn given(folder: &Path) -> (Config, InputDigests) {
        let text = "hostname = \"mx.test\"\n[policy]\nfile = \"p.wasm\"\nsettings = \"s\"\n\
                    [table.vip]\nfile = \"t\"\n";
        for (name, text) in [("p.wasm", "component"), ("s", "settings"), ("t", "table")] {
            fs::write(folder.join(name), text).expect("written");
        }
        let config = crate::config::read_text(&folder.join("waxseal.toml"), text).expect("config");
        let inputs = InputDigests::read(&config).expect("inputs");
        (config, inputs)
    }

    fn snapshots(folder: &Path) -> SnapshotStore {
        secure_fs::make_folder(&folder.join("state")).expect("made");
        SnapshotStore::new(&folder.join("state"))
    }

    #[test]
    fn what_was_put_there_takes_the_place_of_the_files() {
        let folder = tempfile::tempdir().expect("folder");
        let (config, inputs) = given(folder.path());
        let snapshots = snapshots(folder.path());
        let taken = InputFiles::read(&config);
        snapshots.put(&inputs, taken.as_ref()).expect("copied");
        for name in ["p.wasm", "s", "t"] {
            fs::write(folder.path().join(name), "changed").expect("written");
        }
        let instead = snapshots
            .config_from_snapshot(&config, &inputs)
            .expect("whole");
        assert_eq!(InputDigests::read(&instead).expect("read"), inputs);
        let metadata = fs::metadata(&instead.policy.file).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        snapshots.gc(std::slice::from_ref(&inputs));
        assert!(instead.policy.file.exists());
        snapshots.gc(&[]);
        assert!(!instead.policy.file.exists());
    }

    #[test]
    fn a_damaged_copy_is_not_used() {
        let folder = tempfile::tempdir().expect("folder");
        let (config, inputs) = given(folder.path());
        let snapshots = snapshots(folder.path());
        let taken = InputFiles::read(&config);
        snapshots.put(&inputs, taken.as_ref()).expect("copied");
        fs::write(snapshots.folder.join(&inputs.component), "compo").expect("written");
        let refused = snapshots
            .config_from_snapshot(&config, &inputs)
            .expect_err("damaged");
        assert!(
            matches!(refused, SnapshotError::Differs { .. }),
            "{refused}"
        );
        assert!(matches!(
            snapshots.put(&inputs, None),
            Err(SnapshotError::Gone { .. })
        ));
        snapshots
            .put(&inputs, taken.as_ref())
            .expect("copied again");
        snapshots
            .config_from_snapshot(&config, &inputs)
            .expect("whole again");
    }

    #[test]
    fn the_note_comes_back_as_it_was() {
        let folder = tempfile::tempdir().expect("folder");
        let (_, inputs) = given(folder.path());
        let snapshots = snapshots(folder.path());
        assert_eq!(snapshots.pin().expect("read"), None);
        for because in [PinReason::Swapped, PinReason::Failed] {
            let kept = Pin {
                instead_of: None,
                inputs: inputs.clone(),
                because,
                since: Timestamp::UNIX_EPOCH,
            };
            snapshots.set_pin(Some(&kept)).expect("written");
            assert_eq!(snapshots.pin().expect("read"), Some(kept));
        }
        snapshots.set_pin(None).expect("removed");
        snapshots.set_pin(None).expect("removed already");
        assert_eq!(snapshots.pin().expect("read"), None);
    }
}
