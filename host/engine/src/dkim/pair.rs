//! A DKIM key pair.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::BASE64;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;

use super::error::KeyError;

/// Signature algorithm of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// RSA with SHA-256 (RFC 6376, section 3.3.1), which every receiver verifies.
    #[default]
    Rsa,
    /// Ed25519 with SHA-256 (RFC 8463): short and quick, but large receivers do
    /// not verify it yet.
    Ed25519,
}

impl Algorithm {
    /// The name in `k=` of a key record.
    pub fn key_type(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The name in `a=` of a signature.
    pub fn signature_name(self) -> &'static str {
        self.of_library().name()
    }

    pub(super) fn of_library(self) -> mail_auth::crypto::Algorithm {
        match self {
            Self::Rsa => mail_auth::crypto::Algorithm::RsaSha256,
            Self::Ed25519 => mail_auth::crypto::Algorithm::Ed25519Sha256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_type())
    }
}

impl FromStr for Algorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rsa" => Ok(Self::Rsa),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err("the algorithms are rsa and ed25519"),
        }
    }
}

/// A private key and its public key.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    /// Reads PEM: PKCS #8, or PKCS #1 for RSA.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        match PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| KeyError::Pem(error.to_string()))?
        {
            PrivateKeyDer::Pkcs1(der) => Self::rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8(der.secret_pkcs8_der()),
            _ => Err(KeyError::Kind),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        // OpenSSL writes Ed25519 keys without their public key (PKCS #8 v1).
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(pair));
        }
        Self::rsa(RsaKeyPair::from_pkcs8(der))
    }

    /// The library accepts RSA keys of 2048 bits and more, as RFC 8301 (section 3.2) advises.
    fn rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<Self, KeyError> {
        pair.map(Self::Rsa)
            .map_err(|error| KeyError::Rejected(error.to_string()))
    }

    /// A pair derived from a name, which is always the same: not secret, for tests only.
    pub(super) fn from_name(name: &str) -> Result<Self, KeyError> {
        let seed = digest(&SHA256, format!("waxseal test key {name}").as_bytes());
        Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
            .map(Self::Ed25519)
            .map_err(|error| KeyError::Rejected(error.to_string()))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rsa,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The value of `p=` in the key record: for RSA a SubjectPublicKeyInfo, as in all published keys; for Ed25519 the bare 32 bytes
    /// (RFC 8463, section 4).
    pub(super) fn public(&self) -> Result<String, KeyError> {
        match self {
            Self::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, Unspecified> = pair.public_key().as_der();
                der.map(|der| BASE64.encode(der.as_ref()))
                    .map_err(|_| KeyError::Rejected("no public half".to_owned()))
            }
            Self::Ed25519(pair) => Ok(BASE64.encode(pair.public_key().as_ref())),
        }
    }

    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    data,
                    &mut signature,
                )?;
                Ok(signature)
            }
            // Ed25519 signs the hash, not the data (RFC 8463, section 3).
            Self::Ed25519(pair) => Ok(pair
                .try_sign(digest(&SHA256, data).as_ref())?
                .as_ref()
                .to_vec()),
        }
    }
}
