//! The error of a DKIM key that cannot be used.

use thiserror::Error;

use waxseal_system::secure_fs::PrivateFileError;

/// Why a key cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read, or other users can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It contains no private key.
    #[error("the file contains no private key in PEM format: {0}")]
    Pem(String),
    /// The key is neither RSA nor Ed25519.
    #[error("unsupported kind of key: DKIM uses RSA and Ed25519")]
    Kind,
    /// The key is damaged, or too short or too long.
    #[error("invalid key: {0}")]
    Rejected(String),
    /// The verifying library cannot read the DNS record of this key.
    #[error("the DNS record of the public key cannot be parsed: {0}")]
    Record(String),
}
