//! Persistent state of the rollout: the pin of a version that is active instead of the configured
//! files, and copies of its inputs.
//!
//! A private folder has the copies, each named by its digest, and the pin. A copy whose content does
//! not match its digest is not used. Copies that no retained version needs are removed.

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

/// File name of the pin. No digest has this name.
const PIN_FILE: &str = "pin.json";

/// The record of a version that is active instead of the configured files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pin {
    /// Digests of the configured files that are not active; `None` if they were unreadable. If their
    /// content changes, they are tried again.
    pub instead_of: Option<InputDigests>,
    /// Digests of the active version's inputs.
    pub inputs: InputDigests,
    /// Why.
    pub reason: PinReason,
    /// Since when.
    pub since: Timestamp,
}

/// Why the configured files are not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinReason {
    /// They were rejected.
    Rejected,
    /// Another version was activated by command.
    Swapped,
    /// They, or a version that replaced them, were rolled back by command.
    RolledBack,
    /// They, or a version that replaced them, failed too often.
    Failed,
}

impl PinReason {
    /// The reason for people, about the policy that `waxseal.toml` names.
    pub fn text(self) -> &'static str {
        match self {
            Self::Rejected => "it was rejected",
            Self::Swapped => "another one was activated by command",
            Self::RolledBack => "it was rolled back by command",
            Self::Failed => "it was rolled back automatically because too many messages failed",
        }
    }
}

/// Why state could not be written, or is not used.
#[derive(Debug, Error)]
pub(super) enum SnapshotError {
    /// The folder or the pin is not accessible.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// A copy is not accessible.
    #[error("{}: {error}", .path.display())]
    Copy {
        /// Path of the copy or the original.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// A copy is missing, and its original may have changed.
    #[error("no copy of the input with sha256 {digest}")]
    Gone {
        /// The digest.
        digest: String,
    },
    /// The content of a copy does not match its digest.
    #[error("{} is damaged: its sha256 is not {digest}", .path.display())]
    Differs {
        /// Path of the copy.
        path: PathBuf,
        /// Expected digest.
        digest: String,
    },
    /// The pin is invalid.
    #[error("{}: {error}", .path.display())]
    Pin {
        /// Path of the pin.
        path: PathBuf,
        /// The error.
        error: serde_json::Error,
    },
}

/// Content of the input files when they were read: a file may have changed when the version is
/// activated.
pub(super) struct InputFiles {
    pub(super) inputs: InputDigests,
    contents: HashMap<String, Vec<u8>>,
}

impl InputFiles {
    /// Reads the files that a configuration names; `None` if one is unreadable. The error is reported when
    /// the version is built.
    pub(super) fn read(config: &Config) -> Option<Self> {
        let mut contents = HashMap::new();
        let inputs = InputDigests::read_each(config, |digest, bytes| {
            contents.insert(digest.to_owned(), bytes);
        });
        let inputs = inputs.ok()?;
        Some(Self { inputs, contents })
    }
}

/// The folder of copies and the pin.
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

    /// Reads the pin, if there is one.
    pub(super) fn pin(&self) -> Result<Option<Pin>, SnapshotError> {
        let path = self.folder.join(PIN_FILE);
        if !path.exists() {
            return Ok(None);
        }
        secure_fs::folder(&self.folder)?;
        let bytes = secure_fs::read(&path)?;
        match serde_json::from_slice(&bytes) {
            Ok(pin) => Ok(Some(pin)),
            Err(error) => Err(SnapshotError::Pin { path, error }),
        }
    }

    /// Writes or removes the pin.
    pub(super) fn set_pin(&self, pin: Option<&Pin>) -> Result<(), SnapshotError> {
        let path = self.folder.join(PIN_FILE);
        let failed = |error| SnapshotError::Copy {
            path: path.clone(),
            error,
        };
        let Some(pin) = pin else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        };
        secure_fs::folder(&self.folder)?;
        let text = serde_json::to_vec_pretty(pin).map_err(|error| SnapshotError::Pin {
            path: path.clone(),
            error,
        })?;
        secure_fs::replace(&path, &text).map_err(failed)
    }

    /// Stores copies of these inputs, from the given content or from existing copies.
    pub(super) fn put(
        &self,
        inputs: &InputDigests,
        contents: Option<&InputFiles>,
    ) -> Result<(), SnapshotError> {
        secure_fs::folder(&self.folder)?;
        for digest in digests(inputs) {
            let path = self.folder.join(digest);
            if path.exists() {
                continue;
            }
            let Some(bytes) = contents.and_then(|contents| contents.contents.get(digest)) else {
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

    /// The configuration with copies in place of the files; the copies are verified.
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
            // A table that was added later is read from its file.
            if let Some(digest) = inputs.tables.get(&table.name) {
                table.file = self.whole(digest)?;
            }
        }
        Ok(config)
    }

    /// As [`Self::config_from_snapshot`], logging the outcome; `None` if a copy is unusable.
    pub(super) fn log_config_from_snapshot(&self, config: &Config, pin: &Pin) -> Option<Config> {
        match self.config_from_snapshot(config, &pin.inputs) {
            Ok(config) => {
                tracing::warn!(
                    "the policy {} is not active: {}. The version that was active on {:.0} is active \
                     again until the files change",
                    config.policy.file.display(),
                    pin.reason.text(),
                    pin.since,
                );
                Some(config)
            }
            Err(error) => {
                tracing::error!(
                    "cannot activate the version that was active on {:.0} again, loading the \
                     configured files: {error}",
                    pin.since,
                );
                None
            }
        }
    }

    /// Removes all copies that none of these inputs needs.
    pub(super) fn gc(&self, needed: &[InputDigests]) {
        let needed: BTreeSet<&str> = needed.iter().flat_map(digests).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(is_digest);
            if ours && !name.to_str().is_some_and(|name| needed.contains(name)) {
                // What cannot be removed only takes space, and is removed the next time.
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
            // A damaged copy is replaced.
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
        let contents = InputFiles::read(&config);
        snapshots.put(&inputs, contents.as_ref()).expect("copied");
        for name in ["p.wasm", "s", "t"] {
            fs::write(folder.path().join(name), "changed").expect("written");
        }
        let config = snapshots
            .config_from_snapshot(&config, &inputs)
            .expect("whole");
        assert_eq!(InputDigests::read(&config).expect("read"), inputs);
        let metadata = fs::metadata(&config.policy.file).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        snapshots.gc(std::slice::from_ref(&inputs));
        assert!(config.policy.file.exists());
        snapshots.gc(&[]);
        assert!(!config.policy.file.exists());
    }

    #[test]
    fn a_damaged_copy_is_not_used() {
        let folder = tempfile::tempdir().expect("folder");
        let (config, inputs) = given(folder.path());
        let snapshots = snapshots(folder.path());
        let contents = InputFiles::read(&config);
        snapshots.put(&inputs, contents.as_ref()).expect("copied");
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
            .put(&inputs, contents.as_ref())
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
        for reason in [PinReason::Swapped, PinReason::Failed] {
            let pin = Pin {
                instead_of: None,
                inputs: inputs.clone(),
                reason,
                since: Timestamp::UNIX_EPOCH,
            };
            snapshots.set_pin(Some(&pin)).expect("written");
            assert_eq!(snapshots.pin().expect("read"), Some(pin));
        }
        snapshots.set_pin(None).expect("removed");
        snapshots.set_pin(None).expect("removed already");
        assert_eq!(snapshots.pin().expect("read"), None);
    }
}
