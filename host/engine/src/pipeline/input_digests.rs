//! Digests of a policy's input files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use waxseal_system::input_file::{self, Kind};

/// Digests (SHA-256, hexadecimal) of a policy's inputs: two snapshots with the same inputs and the same configuration give the
/// same decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputDigests {
    /// The component.
    pub component: String,
    /// Its settings, if any.
    pub settings: Option<String>,
    /// The lookup tables, by name.
    pub tables: BTreeMap<String, String>,
}

impl InputDigests {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read.
    pub fn read(config: &Config) -> io::Result<Self> {
        Self::read_each(config, |_, _| {})
    }

    /// As [`InputDigests::read`]; also passes the content of each file on, with its digest.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read.
    pub fn read_each(config: &Config, mut each: impl FnMut(&str, Vec<u8>)) -> io::Result<Self> {
        let mut take = |path: &Path, kind: Kind| -> io::Result<String> {
            let bytes = input_file::read(path, kind)?;
            let digest = digest_hex(&bytes);
            each(&digest, bytes);
            Ok(digest)
        };
        let settings = config.policy.settings.as_deref();
        let tables = config.tables.iter();
        Ok(Self {
            component: take(&config.policy.file, input_file::COMPONENT)?,
            settings: settings
                .map(|path| take(path, input_file::SETTINGS))
                .transpose()?,
            tables: tables
                .map(|table| Ok((table.name.clone(), take(&table.file, input_file::TABLE)?)))
                .collect::<io::Result<_>>()?,
        })
    }
}

/// The digest of some bytes, as [`InputDigests`] has it.
pub fn digest_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}
