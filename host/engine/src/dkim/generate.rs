//! Generation of keys.

use std::io;
use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};
use data_encoding::BASE64;
use jiff::civil::Date;
use thiserror::Error;

use super::error::KeyError;
use super::keys::{Key, Keys};
use super::pair::{Algorithm, Pair};
use crate::config::{self, Domain, Problem, Severity};
use waxseal_system::secure_fs;

/// Why no key was generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The domain already signs with a key of that algorithm.
    #[error(
        "{domain} already signs with {algorithm} key \"{selector}\" ({}). A second one would sign from the next reload on, \
         before its record is published. To replace it, move that file away first",
        .file.display()
    )]
    Signs {
        /// Signing domain.
        domain: String,
        /// Algorithm of both keys.
        algorithm: Algorithm,
        /// Selector of the existing key.
        selector: String,
        /// File of the existing key.
        file: PathBuf,
    },
    /// There are keys of the domain that cannot be read, so that nobody knows
    /// what it signs with.
    #[error("the keys that {domain} has cannot all be read; mend this first\n{}", lines(.problems))]
    Unreadable {
        /// Signing domain.
        domain: String,
        /// Their problems.
        problems: Vec<Problem>,
    },
    /// The selector is not a DNS label.
    #[error("invalid selector \"{0}\": expected letters, digits and hyphens, like \"mail2026\"")]
    Selector(String),
    /// The file exists.
    #[error("{} exists and is not overwritten; choose another selector", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{}: {error}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The library could not generate a key.
    #[error(
        "cannot generate a key: the system's random number generator or memory allocation failed"
    )]
    Library(#[from] Unspecified),
    /// The generated key is not usable.
    #[error("the generated key is unusable: {0}")]
    Key(#[from] KeyError),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// A new key.
#[derive(Debug)]
pub struct Generated {
    /// The key; its record must be published.
    pub key: Key,
}

/// Generates a key for a domain and writes it to `DOMAIN/SELECTOR.pem` in the folder of keys, readable by its owner only.
/// The default selector is the day: `w20261121r` for RSA, `w20261121e` for Ed25519.
///
/// # Errors
///
/// If the domain already signs with a key of that algorithm, or the key cannot be written. No file is overwritten.
pub fn generate(
    dkim: &config::Dkim,
    domain: &Domain,
    algorithm: Algorithm,
    selector: Option<&str>,
    today: Date,
) -> Result<Generated, GenerateError> {
    refuse_second(dkim, domain, algorithm)?;
    let selector = match selector {
        Some(selector) if selector.is_ascii() && selector.parse::<Domain>().is_ok() => {
            selector.to_ascii_lowercase()
        }
        Some(selector) => return Err(GenerateError::Selector(selector.to_owned())),
        None => default_selector(algorithm, today),
    };
    let (pair, pem) = new_pair(algorithm)?;
    let file = dkim
        .keys
        .join(domain.as_str())
        .join(format!("{selector}.pem"));
    let key = Key::new(domain, &selector, &file, pair)?;
    write(file, &pem)?;
    Ok(Generated { key })
}

fn default_selector(algorithm: Algorithm, today: Date) -> String {
    let letter = match algorithm {
        Algorithm::Rsa => 'r',
        Algorithm::Ed25519 => 'e',
    };
    format!("w{}{letter}", today.strftime("%Y%m%d"))
}

fn refuse_second(
    dkim: &config::Dkim,
    domain: &Domain,
    algorithm: Algorithm,
) -> Result<(), GenerateError> {
    let (keys, mut problems) = Keys::load(dkim);
    let folder = dkim.keys.join(domain.as_str());
    let of_domain = dkim
        .files
        .iter()
        .filter(|key| key.domain == *domain)
        .map(|key| &key.file);
    let files: Vec<&PathBuf> = of_domain.collect();
    problems.retain(|problem| {
        problem.severity == Severity::Error
            && (problem.file.starts_with(&folder) || files.contains(&&problem.file))
    });
    if !problems.is_empty() {
        return Err(GenerateError::Unreadable {
            domain: domain.to_string(),
            problems,
        });
    }
    match keys
        .for_domain(domain.as_str())
        .iter()
        .find(|key| key.algorithm() == algorithm)
    {
        None => Ok(()),
        Some(key) => Err(GenerateError::Signs {
            domain: domain.to_string(),
            algorithm,
            selector: key.selector().to_owned(),
            file: key.file().to_owned(),
        }),
    }
}

fn new_pair(algorithm: Algorithm) -> Result<(Pair, String), Unspecified> {
    match algorithm {
        Algorithm::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            let pem = pem(der.as_ref());
            Ok((Pair::Rsa(pair), pem))
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            // Version 1, as OpenSSL writes it: OpenDKIM and others support no other.
            let pem = pem(pair.to_pkcs8v1()?.as_ref());
            Ok((Pair::Ed25519(pair), pem))
        }
    }
}

/// PKCS #8 in PEM form (RFC 7468, section 10).
fn pem(der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    // 48 bytes make a line of 64 characters.
    for line in der.chunks(48) {
        BASE64.encode_append(line, &mut pem);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

fn write(file: PathBuf, pem: &str) -> Result<(), GenerateError> {
    let folder = file.parent().map_or(Ok(()), secure_fs::make_folder);
    match folder.and_then(|()| secure_fs::create(&file, pem.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(GenerateError::Exists(file))
        }
        Err(error) => Err(GenerateError::Write { file, error }),
    }
}
