//! The signing keys, by domain.
//!
//! Every key signs: during a key rotation a message has a signature of each, and a receiver that cannot find one of the records
//! uses the other.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_auth::TxtRecord;
use mail_auth::dkim::DomainKey;
use mail_auth::dns::TxtRecordParser;

use super::error::KeyError;
use super::pair::{Algorithm, Pair};
use super::record::Record;
use crate::config::{self, Domain, Problem, Severity};
use waxseal_system::secure_fs::{self, PrivateFileError};

/// Selector of the keys that tests sign with.
const TEST_SELECTOR: &str = "test";

/// A key that signs for a domain. The private key is not accessible.
pub struct Key {
    domain: String,
    selector: String,
    file: PathBuf,
    pub(super) pair: Pair,
    record: Record,
    /// The record in the form in which DNS returns it to a verifier.
    pub(super) published: TxtRecord,
    /// The name that a verifier queries.
    pub(super) query: Box<str>,
}

impl Key {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, if others can read it, or if it contains no key for DKIM.
    pub fn read(domain: &Domain, selector: &str, file: &Path) -> Result<Self, KeyError> {
        Self::new(
            domain,
            selector,
            file,
            Pair::from_pem(&secure_fs::read(file)?)?,
        )
    }

    pub(super) fn new(
        domain: &Domain,
        selector: &str,
        file: &Path,
        pair: Pair,
    ) -> Result<Self, KeyError> {
        let record = Record::new(
            domain.as_str(),
            selector,
            pair.algorithm().key_type(),
            &pair.public()?,
        );
        let published = DomainKey::parse(record.value.as_bytes())
            .map_err(|error| KeyError::Record(error.to_string()))?;
        Ok(Self {
            domain: domain.as_str().to_owned(),
            selector: selector.to_owned(),
            file: file.to_owned(),
            pair,
            query: format!("{}.", record.name.to_ascii_lowercase()).into(),
            published: published.into(),
            record,
        })
    }

    /// Signing domain (`d=`), lower-case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Selector (`s=`).
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// Signature algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The DNS record to publish.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("domain", &self.domain)
            .field("selector", &self.selector)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// All keys, by domain.
#[derive(Debug, Default)]
pub struct Keys {
    by_domain: HashMap<String, Vec<Arc<Key>>>,
}

impl Keys {
    /// Reads all keys: those of the folder, `DOMAIN/SELECTOR.pem`, and those of `[[dkim.key]]`. Returns every usable key and the
    /// problems of the others; a missing folder is not a problem.
    pub fn load(dkim: &config::Dkim) -> (Self, Vec<Problem>) {
        let mut keys = Self::default();
        let mut problems = Vec::new();
        for (domain, selector, file) in found(&dkim.keys, &mut problems) {
            keys.add(&domain, &selector, &file, &mut problems);
        }
        for key in &dkim.files {
            keys.add(&key.domain, &key.selector, &key.file, &mut problems);
        }
        keys.sort_and_warn(&mut problems);
        (keys, problems)
    }

    /// An Ed25519 test key for each of these domains, derived from its name only: tests must neither read private keys nor wait for
    /// new ones, and must be reproducible. Everybody can derive these keys, so they must not sign mail that is sent.
    ///
    /// # Errors
    ///
    /// If the library cannot create a key.
    pub fn for_tests<'a>(domains: impl IntoIterator<Item = &'a Domain>) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for domain in domains {
            let of_domain = keys.by_domain.entry(domain.as_str().to_owned());
            let of_domain = of_domain.or_default();
            if of_domain.is_empty() {
                let pair = Pair::from_name(domain.as_str())?;
                let file = Path::new("");
                let key = Key::new(domain, TEST_SELECTOR, file, pair)?;
                of_domain.push(Arc::new(key));
            }
        }
        Ok(keys)
    }

    /// These keys and further ones.
    #[must_use]
    pub fn with(&self, more: Vec<Key>) -> Self {
        let mut by_domain = self.by_domain.clone();
        for key in more {
            let keys: &mut Vec<_> = by_domain.entry(key.domain.clone()).or_default();
            keys.push(Arc::new(key));
        }
        Self { by_domain }
    }

    /// The keys of a domain, in any of its forms: RSA first, then Ed25519. Keys do not apply to subdomains.
    pub fn for_domain(&self, domain: &str) -> &[Arc<Key>] {
        let found = self.by_domain.get(domain).or_else(|| {
            let domain: Domain = domain.parse().ok()?;
            self.by_domain.get(domain.as_str())
        });
        found.map_or(&[], Vec::as_slice)
    }

    /// All keys, ordered by domain, algorithm and selector.
    pub fn all(&self) -> Vec<&Arc<Key>> {
        let mut domains: Vec<_> = self.by_domain.iter().collect();
        domains.sort_by_key(|(domain, _)| *domain);
        domains.into_iter().flat_map(|(_, keys)| keys).collect()
    }

    fn add(&mut self, domain: &Domain, selector: &str, file: &Path, problems: &mut Vec<Problem>) {
        let key = match Key::read(domain, selector, file) {
            Ok(key) => key,
            Err(error) => {
                return problems.push(Problem::of_file(
                    file,
                    problem_text(&error),
                    expected(&error),
                ));
            }
        };
        let keys = self.by_domain.entry(key.domain.clone()).or_default();
        if let Some(other) = keys
            .iter()
            .find(|other| other.selector.eq_ignore_ascii_case(selector))
        {
            let message = format!(
                "{} is the key of selector \"{selector}\" of {domain} already",
                other.file.display()
            );
            return problems.push(Problem::of_file(
                file,
                message,
                Some("one key for each selector".to_owned()),
            ));
        }
        keys.push(Arc::new(key));
    }

    fn sort_and_warn(&mut self, problems: &mut Vec<Problem>) {
        for (domain, keys) in &mut self.by_domain {
            keys.sort_by(|a, b| (a.algorithm(), &a.selector).cmp(&(b.algorithm(), &b.selector)));
            if let Some(first) = keys.first()
                && first.algorithm() == Algorithm::Ed25519
            {
                let message = format!(
                    "{domain} has only an Ed25519 key, which large receivers do not verify"
                );
                let expected = format!("an additional RSA key: waxseal dkim new {domain}");
                problems.push(warning(&first.file, message, &expected));
            }
        }
        problems.sort_by(|a, b| a.file.cmp(&b.file));
    }
}

/// The error without the path, which the problem contains.
fn problem_text(error: &KeyError) -> String {
    match error {
        KeyError::File(PrivateFileError::Read { error, .. }) => format!("cannot be read: {error}"),
        KeyError::File(PrivateFileError::Open { mode, .. }) => {
            format!("other users can read or change this private key (mode {mode:04o})")
        }
        KeyError::File(PrivateFileError::Owner { owner, .. }) => {
            format!(
                "this private key belongs to user {owner}, who is neither root nor the current user"
            )
        }
        other => other.to_string(),
    }
}

fn expected(error: &KeyError) -> Option<String> {
    match error {
        KeyError::File(PrivateFileError::Open { path, .. }) => Some(format!(
            "a file for its owner only; type: chmod go= '{}'",
            path.display()
        )),
        KeyError::File(PrivateFileError::Owner { path, us, .. }) => Some(format!(
            "a file of the current user; type: chown {us} '{}'",
            path.display()
        )),
        KeyError::Pem(_) | KeyError::Kind | KeyError::Rejected(_) => Some(
            "an Ed25519 key, or an RSA key of 2048 to 8192 bits (RFC 8301), PKCS #8 in PEM form"
                .to_owned(),
        ),
        KeyError::File(_) | KeyError::Record(_) => None,
    }
}

fn warning(file: &Path, message: String, expected: &str) -> Problem {
    let mut problem = Problem::of_file(file, message, Some(expected.to_owned()));
    problem.severity = Severity::Warning;
    problem
}

/// Key files of the folder: `DOMAIN/SELECTOR.pem`. Other files are ignored.
fn found(folder: &Path, problems: &mut Vec<Problem>) -> Vec<(Domain, String, PathBuf)> {
    let mut files = Vec::new();
    for path in entries(folder, problems) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        if !path.is_dir() || name.starts_with('.') {
            continue;
        }
        let Ok(domain) = name.parse::<Domain>() else {
            problems.push(warning(
                &path,
                "the name of this folder is not a domain name".to_owned(),
                "DOMAIN/SELECTOR.pem",
            ));
            continue;
        };
        for file in entries(&path, problems) {
            let selector = file
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or("");
            if file.extension().is_none_or(|extension| extension != "pem")
                || selector.starts_with('.')
            {
                continue;
            }
            match selector.parse::<Domain>() {
                Ok(_) if selector.is_ascii() => {
                    files.push((domain.clone(), selector.to_owned(), file))
                }
                _ => {
                    let message = format!("invalid selector \"{selector}\"");
                    problems.push(warning(
                        &file,
                        message,
                        "letters, digits, hyphens and dots before `.pem`",
                    ));
                }
            }
        }
    }
    files
}

fn entries(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            problems.push(Problem::of_file(
                folder,
                format!("cannot read the key folder: {error}"),
                None,
            ));
            Vec::new()
        }
    }
}
