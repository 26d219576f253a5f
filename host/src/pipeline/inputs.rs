//! What the files of a policy contained, by digest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Digests (SHA-256, hexadecimal) of all that a policy is made from: two
/// generations with the same inputs and the same configuration decide alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The component.
    pub component: String,
    /// Its settings, where it has a file of them.
    pub settings: Option<String>,
    /// The lookup tables, by name.
    pub tables: BTreeMap<String, String>,
}

impl Inputs {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn read(config: &Config) -> io::Result<Self> {
        let tables = config.tables.iter();
        Ok(Self {
            component: digest_of(&config.policy.file)?,
            settings: config
                .policy
                .settings
                .as_deref()
                .map(digest_of)
                .transpose()?,
            tables: tables
                .map(|table| Ok((table.name.clone(), digest_of(&table.file)?)))
                .collect::<io::Result<_>>()?,
        })
    }
}

/// The digest of some bytes, as [`Inputs`] has it.
pub fn digest_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

fn digest_of(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| digest_hex(&bytes))
}
