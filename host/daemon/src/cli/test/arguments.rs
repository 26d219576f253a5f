//! Arguments of `waxseal test`.

use std::path::PathBuf;

use clap::Args;

/// Run policy tests
///
/// Test files are TOML (docs/testing-policies.md). No mail is sent, no DNS query is
/// made, no limit is charged, and no MTA is needed. Exit code 1: a case failed; 2: the
/// tests could not be run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Test files, or folders of test files. Default: `policy.tests` of the
    /// configuration, or the folder `tests` next to the configuration
    #[arg(value_name = "FILE or FOLDER")]
    pub(super) paths: Vec<PathBuf>,
    /// Run only the cases whose name or file path contains this text
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Write the results to this file in JUnit format
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Update golden files for cases whose other expectations pass
    #[arg(long)]
    pub(super) bless: bool,
    /// Run again when a test, a message, the configuration, the policy or its settings
    /// change
    #[arg(long)]
    pub(super) watch: bool,
    /// Print time, instructions and memory of each case
    #[arg(long)]
    pub(super) costs: bool,
}
