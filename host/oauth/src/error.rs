//! Errors.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use thiserror::Error;
use waxseal_system::secure_fs::PrivateFileError;

/// Why there is no access token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Nobody has logged in.
    #[error("there is no refresh token yet: log in")]
    NotLoggedIn,
    /// The refresh token is not valid any more: consent was withdrawn, the password
    /// was changed, or it was not used for too long (`invalid_grant`).
    #[error("the service does not accept the refresh token any more ({0}): log in again")]
    Revoked(String),
    /// The client is not accepted (`invalid_client`, `unauthorized_client`): its
    /// secret has expired, or its id is wrong.
    #[error(
        "the service does not accept the client ({0}): check client id and client secret, which may have expired"
    )]
    Client(String),
    /// The service refuses for another reason.
    #[error("the service refused: {0}")]
    Refused(String),
    /// The administrator did not confirm the login, or not in time.
    #[error("the login was not confirmed: {0}")]
    NotConfirmed(String),
    /// The service does not offer the device flow.
    #[error("the service does not offer the device flow for mail")]
    NoDeviceFlow,
    /// The endpoint cannot be reached, or does not answer in time.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// Scheme, host and port.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// It answers with something else than RFC 6749 says.
    #[error("{endpoint} sent no valid answer: {reason}")]
    Malformed {
        /// Scheme, host and port.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// It failed a moment ago and is not asked again before this time.
    #[error("{last}; asked again after {until}")]
    Waiting {
        /// The failure.
        last: Box<TokenError>,
        /// When it is asked again.
        until: Timestamp,
    },
    /// The file with the refresh token cannot be used.
    #[error("{0}")]
    Store(String),
}

impl TokenError {
    /// Whether only an administrator can mend it.
    pub fn needs_login(&self) -> bool {
        match self {
            Self::NotLoggedIn | Self::Revoked(_) => true,
            Self::Waiting { last, .. } => last.needs_login(),
            _ => false,
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// A file with a refresh token that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be read, or others may read it.
    #[error(transparent)]
    Read(#[from] PrivateFileError),
    /// It holds something else.
    #[error("{path}: not a token file: log in again, which replaces it", path = .0.display())]
    Content(PathBuf),
    /// It cannot be written.
    #[error("cannot write {path}: {error}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}
