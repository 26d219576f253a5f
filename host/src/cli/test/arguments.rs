//! Arguments of `waxseal test`.

use std::path::PathBuf;

use clap::Args;

/// Run policy tests: sample mail, and what is expected to become of it.
///
/// Test files are TOML; docs/testing-policies.md describes them. Nothing is
/// sent, asked or charged, and no MTA is needed. Exit code 1: a case failed; 2:
/// the tests could not be run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Test files, or folders of them; by default those that the configuration
    /// names (`policy.tests`), or else the folder `tests` beside it.
    #[arg(value_name = "FILE or FOLDER")]
    pub(super) paths: Vec<PathBuf>,
    /// Run only the cases in whose name or file's path this stands.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Write what came of the cases to this file, for build servers.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Write the messages that came to the files that are to hold them, of cases
    /// that fail in nothing else.
    #[arg(long)]
    pub(super) bless: bool,
    /// Run again whenever a test, a message, the configuration, the policy or
    /// its settings change.
    #[arg(long)]
    pub(super) watch: bool,
    /// Tell of every case what it took.
    #[arg(long)]
    pub(super) costs: bool,
}
