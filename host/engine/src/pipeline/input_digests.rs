//! What the files of a policy contained, by digest.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use waxseal_system::input_file::{self, Kind};

/// Digests (SHA-256, hexadecimal) of all that a policy is made from: two
/// snapshots with the same inputs and the same configuration decide alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputDigests {
    /// The component.
    pub component: String,
    /// Its settings, where it has a file of them.
    pub settings: Option<String>,
    /// The lookup tables, by name.
    pub tables: BTreeMap<String, String>,
}

impl InputDigests {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn read(config: &Config) -> io::Result<Self> {
        Self::read_each(config, |_, _| {})
    }

    /// The same, and hands on what each file contains, with its digest.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
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
