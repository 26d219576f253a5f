//! The policy's files that a configuration names.

use std::path::PathBuf;

use crate::config::Config;

/// The files of a configuration that are watched.
pub(super) fn paths(config: &Config) -> Vec<PathBuf> {
    let tables = config.tables.iter().map(|table| &table.file);
    std::iter::once(&config.policy.file)
        .chain(&config.policy.settings)
        .chain(tables)
        .cloned()
        .collect()
}

/// The configuration with other files of the policy.
pub(super) fn with_files(config: &Config, file: PathBuf, settings: Option<PathBuf>) -> Config {
    let mut config = config.clone();
    config.policy.file = file;
    if settings.is_some() {
        config.policy.settings = settings;
    }
    config
}
