//! The file that holds a refresh token.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use waxseal_system::secure_fs::{self, Directory, FileMode, PrivateFileError};

use super::endpoint::Refresh;
use super::error::StoreError;
use super::secret::Secret;

/// A private file with the refresh token of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile(PathBuf);

/// Its content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Content {
    refresh_token: String,
    /// When it was issued.
    issued: Timestamp,
    /// When it expires, if the service has said so.
    expires: Option<Timestamp>,
}

/// A refresh token with its times.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) secret: Secret,
    pub(crate) expires: Option<Timestamp>,
}

impl TokenFile {
    /// A file, which need not exist. Its folder must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it holds; none if it does not exist.
    pub(crate) fn read(&self) -> Result<Option<Stored>, StoreError> {
        let bytes = match secure_fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(PrivateFileError::Read { error, .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|_| StoreError::Content(self.0.clone()))?;
        Ok(Some(Stored {
            secret: Secret::new(content.refresh_token),
            expires: content.expires,
        }))
    }

    /// Replaces it in one step.
    pub(crate) fn write(&self, refresh: &Refresh, now: Timestamp) -> Result<(), StoreError> {
        let content = Content {
            refresh_token: refresh.secret.expose().to_owned(),
            issued: now,
            expires: refresh.lifetime.and_then(|lifetime| later(now, lifetime)),
        };
        let failed = |error: io::Error| StoreError::Write {
            path: self.0.clone(),
            error,
        };
        let bytes = serde_json::to_vec(&content).map_err(|error| failed(error.into()))?;
        let (folder, name) = Directory::around(&self.0).map_err(failed)?;
        folder
            .replace(name, &bytes, FileMode::Exactly(0o600))
            .map_err(failed)
    }
}

/// A later time, if there is one.
pub(crate) fn later(now: Timestamp, by: Duration) -> Option<Timestamp> {
    now.checked_add(by).ok()
}
